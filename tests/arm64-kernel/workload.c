/* The workload under mak-init as PID 1 of a real kernel (tests/arm64-kernel.sh).
 *
 *   workload          is PID 1's child, sees its signals forwarded and its orphans reaped; ends with 9
 *   workload stubborn asks PID 1 to stop, ignores TERM, and leaves an orphan that ignores it too; ends by KILL
 *
 * Every failed expectation is one line, and code 1. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ORPHANS = 100, DEADLINE_SECONDS = 20 };

static void expect(int holds, const char *what) {
    if (holds) return;
    printf("workload: not so: %s (%s)\n", what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static void print_name_of_pid_1(void) {
    char name[32] = "";
    expect(mount("proc", "/proc", "proc", 0, NULL) == 0, "proc can be mounted");
    int fd = open("/proc/1/comm", O_RDONLY);
    expect(fd >= 0 && read(fd, name, sizeof name - 1) > 0, "PID 1 has a name");
    name[strcspn(name, "\n")] = 0;
    printf("workload: PID 1 is %s\n", name);
    close(fd);
}

/* PID 1 forwards what it is sent. The raw call: the C library keeps two real-time signals for itself. */
static void signal_comes_back(int number) {
    unsigned long set = 1UL << (number - 1);
    struct timespec limit = {DEADLINE_SECONDS, 0};
    expect(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, sizeof set) == 0, "a signal can be blocked");
    expect(kill(1, number) == 0, "PID 1 can be sent a signal");
    long got = syscall(SYS_rt_sigtimedwait, &set, NULL, &limit, sizeof set);
    if (got != number) printf("workload: signal %d was not forwarded\n", number);
    expect(got == number, "PID 1 forwards its signals");
}

/* A grandchild whose parent has ended is PID 1's to reap. */
static pid_t orphan(void) {
    int channel[2];
    pid_t grandchild = 0;
    expect(pipe(channel) == 0, "a pipe can be made");
    pid_t child = fork();
    expect(child >= 0, "fork works");
    if (child == 0) {
        grandchild = fork();
        if (grandchild == 0) _exit(3);
        expect(write(channel[1], &grandchild, sizeof grandchild) == sizeof grandchild, "the pid is told");
        _exit(0);
    }
    expect(read(channel[0], &grandchild, sizeof grandchild) == sizeof grandchild, "the pid is known");
    close(channel[0]);
    close(channel[1]);
    expect(waitpid(child, NULL, 0) == child, "the child is reaped");
    return grandchild;
}

static void orphans_are_reaped(void) {
    pid_t left[ORPHANS];
    struct timespec now, start;
    for (int i = 0; i < ORPHANS; i++) left[i] = orphan();
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < ORPHANS; i++) {
        while (kill(left[i], 0) == 0) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            expect(now.tv_sec - start.tv_sec < DEADLINE_SECONDS, "PID 1 reaps orphans");
            sched_yield();
        }
        expect(errno == ESRCH, "a reaped orphan is gone");
    }
    printf("workload: %d orphans were reaped\n", ORPHANS);
}

static _Noreturn void be_stubborn(void) {
    signal(SIGTERM, SIG_IGN);
    expect(fork() >= 0, "fork works");
    if (getppid() == 1) kill(1, SIGTERM);
    for (;;) pause();
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "stubborn") == 0) be_stubborn();
    expect(getppid() == 1, "the workload is PID 1's child");
    print_name_of_pid_1();
    int forwarded[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH, 32, 33, 34, 64};
    for (unsigned i = 0; i < sizeof forwarded / sizeof *forwarded; i++) signal_comes_back(forwarded[i]);
    printf("workload: %zu signals were forwarded\n", sizeof forwarded / sizeof *forwarded);
    orphans_are_reaped();
    printf("workload: done\n");
    fflush(stdout);
    return 9;
}
