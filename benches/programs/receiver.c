/* The target of forwarded signals: notes when each USR1 arrives in the memory it shares with the harness.
   Words of that memory: 0 = its pid once it is ready, 1 = how many have arrived, 2 = when the last one did, in ns. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    int file = open(argv[1], O_RDWR);
    _Atomic uint64_t *word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (word == MAP_FAILED) return 1;
    sigset_t awaited;
    sigemptyset(&awaited);
    sigaddset(&awaited, SIGUSR1);
    sigprocmask(SIG_BLOCK, &awaited, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    atomic_store(&word[0], (uint64_t)getpid());
    for (;;) {
        struct timespec now;
        if (sigwaitinfo(&awaited, 0) != SIGUSR1) continue;
        clock_gettime(CLOCK_MONOTONIC, &now);
        atomic_store(&word[2], (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
        atomic_fetch_add(&word[1], 1);
    }
}
