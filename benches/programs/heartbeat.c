/* A workload that wants to run every millisecond, and notes by how much it comes late. On USR1 it prints the median and
   the 99th percentile of that in nanoseconds, and how many beats there were, and begins anew. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MOST 1000000
static long late[MOST];
static volatile sig_atomic_t asked;

static void ask(int signal) { (void)signal; asked = 1; }

static int by_size(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    struct sigaction action = {.sa_handler = ask, .sa_flags = SA_RESTART};
    struct timespec due, found;
    int beats = 0;
    sigaction(SIGUSR1, &action, NULL);
    printf("ready\n");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (;;) {
        due.tv_nsec += 1000000;
        if (due.tv_nsec >= 1000000000) {
            due.tv_nsec -= 1000000000;
            due.tv_sec++;
        }
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL))
            ;
        clock_gettime(CLOCK_MONOTONIC, &found);
        long by = (found.tv_sec - due.tv_sec) * 1000000000L + found.tv_nsec - due.tv_nsec;
        if (by > 100000000)
            due = found;
        if (beats < MOST)
            late[beats++] = by;
        if (!asked)
            continue;
        asked = 0;
        qsort(late, beats, sizeof *late, by_size);
        printf("%ld %ld %d\n", late[beats / 2], late[beats * 99L / 100], beats);
        fflush(stdout);
        beats = 0;
        clock_gettime(CLOCK_MONOTONIC, &due);
    }
}
