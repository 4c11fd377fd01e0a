/* COUNT orphans that die at once. A process in between forks them and ends, so that init adopts them; they wait for the
   end of one pipe. Words of the shared memory: 0 = 1 when done, 1 = ns from the pipe's end to the last one reaped,
   2 = how many were left after LONGEST seconds. Only init can make kill(2) say ESRCH: a zombie still takes signals. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST 30

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    int file = open(argv[1], O_RDWR), count = atoi(argv[2]), ends[2];
    volatile uint64_t *word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    pid_t *orphans = mmap(0, count * sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (word == MAP_FAILED || orphans == MAP_FAILED || pipe(ends) != 0) return 1;
    pid_t between = fork();
    if (between == 0) {
        close(ends[1]);
        for (int at = 0; at < count; at++) {
            pid_t orphan = fork();
            if (orphan == 0) {
                char nothing;
                while (read(ends[0], &nothing, 1) < 0 && errno == EINTR) {}
                _exit(0);
            }
            if (orphan < 0) _exit(1);
            orphans[at] = orphan;
        }
        _exit(0);
    }
    int status;
    if (waitpid(between, &status, 0) != between || status != 0) return 2;
    uint64_t begin = now(), end = begin;
    close(ends[1]);
    int gone = 0;
    while (gone < count && end - begin < LONGEST * 1000000000ull) {
        while (gone < count && kill(orphans[gone], 0) != 0 && errno == ESRCH) gone++;
        end = now();
        nanosleep(&(struct timespec){0, 100000}, 0);
    }
    word[1] = end - begin;
    word[2] = (uint64_t)(count - gone);
    word[0] = 1;
    return gone == count ? 0 : 3;
}
