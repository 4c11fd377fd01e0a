/*
 * The workload of the tests: a program that does one thing that is asked of it and says on
 * stdout what it sees. The harness builds it static with the machine's C compiler.
 *
 * Signal masks go to the kernel as 8 raw bytes: what the C library offers leaves out 32, 33
 * and, under musl, 34.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

/* The kernel's siginfo_t, as far as it is read here (64-bit machines). */
struct arrival {
    int32_t signo, err, code, pad;
    int32_t pid;
    uint32_t uid;
    uint64_t value;
    uint64_t rest[12];
};

/* The kernel's struct sigaction: long enough on every machine, all zero but the handler. */
struct disposition {
    uint64_t handler;
    uint64_t rest[15];
};

static uint64_t mask_now(void) {
    uint64_t mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8L);
    return mask;
}

static void block(uint64_t mask) { syscall(SYS_rt_sigprocmask, SIG_BLOCK, &mask, NULL, 8L); }

static void set_mask(uint64_t mask) {
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8L);
}

static void dispose(int number, uint64_t handler) {
    struct disposition set = {.handler = handler};
    syscall(SYS_rt_sigaction, number, &set, NULL, 8L);
}

static struct arrival next_signal(uint64_t mask) {
    struct arrival arrival;
    memset(&arrival, 0, sizeof arrival);
    while (syscall(SYS_rt_sigtimedwait, &mask, &arrival, NULL, 8L) < 0 && errno == EINTR) {
    }
    return arrival;
}

static void say(const char *text) {
    fputs(text, stdout);
    fputc('\n', stdout);
    fflush(stdout);
}

static uint64_t bit(int number) { return (uint64_t)1 << (number - 1); }

/* Prints every signal that arrives; ends with code 0 on signal `last`. */
static int print_signals(int last) {
    /* STOP and KILL cannot be blocked; the kernel leaves them out by itself. */
    block(~(uint64_t)0);
    say("ready");
    for (;;) {
        struct arrival got = next_signal(~(uint64_t)0);
        int queued = got.code == -1; /* SI_QUEUE */
        printf("sig %d value %llu sender %d\n", got.signo,
               queued ? (unsigned long long)got.value : 0ULL, got.pid);
        fflush(stdout);
        if (got.signo == last) return 0;
    }
}

/* Ends by a signal of its own. */
static int die_by(int number) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    dispose(number, 0);
    set_mask(0);
    syscall(SYS_kill, getpid(), number);
    return 99;
}

static int ignore_term(void) {
    dispose(SIGTERM, 1);
    say("ready");
    for (;;) pause();
    return 0;
}

/* Leaves `count` children without a parent, each of which ends as soon as it has a new one; then
 * lives on until TERM. Each says who the new one is; it has to be the workload's own parent. */
static int orphans(int count) {
    int held[2], others = 0;
    pid_t parent;
    block(bit(SIGTERM));
    if (pipe(held) != 0) return 98;
    for (int i = 0; i < count; i++) {
        pid_t middle = fork();
        if (middle < 0) return 97;
        if (middle == 0) {
            pid_t old = getpid();
            pid_t orphan = fork();
            if (orphan != 0) _exit(orphan < 0);
            while ((parent = getppid()) == old) sched_yield();
            _exit(write(held[1], &parent, sizeof parent) != sizeof parent);
        }
        int status = 0;
        if (waitpid(middle, &status, 0) != middle || status != 0) return 96;
    }
    close(held[1]);
    for (int i = 0; i < count; i++) {
        if (read(held[0], &parent, sizeof parent) != sizeof parent) return 95;
        others += parent != getppid();
    }
    printf("orphans %d elsewhere %d\n", count, others);
    fflush(stdout);
    next_signal(bit(SIGTERM));
    return 0;
}

/* Starts a child in a session of its own and ends with `code` while the child lives on. The
 * child says when TERM arrives; a polite one then ends, a stubborn one goes on. */
static int leave_child(int code, const char *manner) {
    int told[2];
    char byte;
    if (pipe(told) != 0) return 98;
    block(bit(SIGTERM));
    pid_t child = fork();
    if (child < 0) return 97;
    if (child == 0) {
        close(told[0]);
        setsid();
        if (write(told[1], "x", 1) != 1) _exit(1);
        close(told[1]);
        next_signal(bit(SIGTERM));
        say("the child that was left has TERM");
        if (strcmp(manner, "polite") == 0) _exit(0);
        for (;;) pause();
    }
    if (read(told[0], &byte, 1) != 1) return 96;
    printf("left %d\n", (int)child);
    fflush(stdout);
    return code;
}

/* What a process inherits: signal mask, ignored signals, umask, descriptors, groups. */
static int status(void) {
    uint64_t ignored = 0;
    for (int number = 1; number <= 64; number++) {
        struct disposition old;
        memset(&old, 0, sizeof old);
        if (syscall(SYS_rt_sigaction, number, NULL, &old, 8L) == 0 && old.handler == 1)
            ignored |= bit(number);
    }
    int open_now[1024], opened = 0;
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0) open_now[opened++] = fd;
    int terminal = open("/dev/tty", O_RDWR);
    int foreground = terminal < 0 ? -1 : (int)tcgetpgrp(terminal);
    mode_t mask = umask(0);
    FILE *out = stdout;
    if (getenv("STATUS_FILE")) out = fopen(getenv("STATUS_FILE"), "w");
    if (!out) return 98;
    fprintf(out, "blocked %016llx\n", (unsigned long long)mask_now());
    fprintf(out, "ignored %016llx\n", (unsigned long long)ignored);
    fprintf(out, "umask %04o\n", (unsigned)mask);
    fprintf(out, "descriptors");
    for (int i = 0; i < opened; i++) fprintf(out, " %d", open_now[i]);
    fprintf(out, "\npid %d\n", getpid());
    fprintf(out, "parent %d\n", getppid());
    fprintf(out, "group %d\n", getpgrp());
    fprintf(out, "session %d\n", getsid(0));
    fprintf(out, "foreground %d\n", foreground);
    fprintf(out, "end of status\n");
    fclose(out);
    return 0;
}

/* On a terminal: a background process would be stopped by the read. */
static int read_line(void) {
    char line[256];
    say("ready");
    if (!fgets(line, sizeof line, stdin)) return 98;
    printf("read %s", line);
    fflush(stdout);
    return 0;
}

/* On USR1: sends TERM to every process it may, as careless stop scripts do. Only as the child of
 * a PID 1, so that a mistake in a test cannot reach the machine. */
static int term_everyone(void) {
    if (getppid() != 1) return 98;
    block(bit(SIGTERM) | bit(SIGUSR1));
    say("ready");
    next_signal(bit(SIGUSR1));
    if (kill(-1, SIGTERM) != 0 && errno != ESRCH) return 97;
    say("sent");
    next_signal(bit(SIGTERM));
    return 0;
}

/* Waits for children it never made. */
static int wait_for_any(void) {
    int status;
    block(bit(SIGTERM));
    pid_t found = waitpid(-1, &status, 0);
    printf("waitpid %d errno %s pid %d\n", (int)found, found < 0 && errno == ECHILD ? "ECHILD" : "-",
           getpid());
    fflush(stdout);
    next_signal(bit(SIGTERM));
    return 0;
}

/* Makes processes that stay until there are none to be had, in every generation; ends with `code`. */
static int fork_bomb(int code) {
    pid_t bomber = getpid(), child;
    while ((child = fork()) >= 0) {
        /* The parent stays with its child and makes more; so does the child. */
    }
    if (getpid() != bomber) pause();
    return code;
}

/* Counts the real-time signal `number`, whose values are the count itself; says how far it is at
 * every `step`. TERM ends it, with code 0 where none was lost, doubled or out of order. */
static int count_signals(int number, int step) {
    uint64_t mask = bit(number) | bit(SIGTERM);
    unsigned long count = 0, wrong = 0;
    block(mask);
    say("ready");
    for (;;) {
        struct arrival got = next_signal(mask);
        if (got.signo == SIGTERM) return wrong != 0;
        if (got.value != count) wrong++;
        if (++count % (unsigned)step == 0) {
            printf("counted %lu wrong %lu\n", count, wrong);
            fflush(stdout);
        }
    }
}

static void without_core(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
}

/* Takes memory until the kernel ends it; stops at half a GiB, where it has no limit. */
static int eat_memory(void) {
    for (int i = 0; i < 512; i++) {
        char *piece = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (piece == MAP_FAILED) return 98;
        memset(piece, 1, 1 << 20);
    }
    return 97;
}

static int illegal_instruction(void) {
    without_core();
#if defined(__x86_64__)
    __asm__ volatile("ud2");
#elif defined(__aarch64__)
    __asm__ volatile(".inst 0");
#else
    raise(SIGILL);
#endif
    return 98;
}

/* Touches a mapped file beyond its end. */
static int bus_error(const char *path) {
    without_core();
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    if (fd < 0) return 98;
    volatile char *mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    return mapped == MAP_FAILED ? 97 : mapped[0];
}

/* Forbids itself every system call. */
static int break_a_filter(void) {
    struct sock_filter kill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL);
    struct sock_fprog filter = {.len = 1, .filter = &kill};
    without_core();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return 98;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) return 97;
    return 96;
}

static int dump_core(void) {
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    if (setrlimit(RLIMIT_CORE, &all) != 0) return 98;
    set_mask(0);
    dispose(SIGABRT, 0);
    abort();
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(what, "exit")) return number;
    if (!strcmp(what, "die-by")) return die_by(number);
    if (!strcmp(what, "print-signals")) return print_signals(number);
    if (!strcmp(what, "ignore-term")) return ignore_term();
    if (!strcmp(what, "orphans")) return orphans(number);
    if (!strcmp(what, "leave-child")) return leave_child(number, argc > 3 ? argv[3] : "");
    if (!strcmp(what, "fork-bomb")) return fork_bomb(number);
    if (!strcmp(what, "count-signals")) return count_signals(number, argc > 3 ? atoi(argv[3]) : 1);
    if (!strcmp(what, "status")) return status();
    if (!strcmp(what, "read-line")) return read_line();
    if (!strcmp(what, "term-everyone")) return term_everyone();
    if (!strcmp(what, "wait-for-any")) return wait_for_any();
    if (!strcmp(what, "eat-memory")) return eat_memory();
    if (!strcmp(what, "illegal-instruction")) return illegal_instruction();
    if (!strcmp(what, "bus-error")) return argc > 2 ? bus_error(argv[2]) : 98;
    if (!strcmp(what, "break-a-filter")) return break_a_filter();
    if (!strcmp(what, "dump-core")) return dump_core();
    if (!strcmp(what, "environment")) {
        for (char **entry = environ; *entry; entry++) say(*entry);
        return 0;
    }
    if (!strcmp(what, "arguments")) {
        for (int i = 0; i < argc; i++) {
            for (char *c = argv[i]; *c; c++) printf("%02x", (unsigned char)*c);
            printf("\n");
        }
        return 0;
    }
    if (!strcmp(what, "marker")) {
        int fd = argc > 2 ? open(argv[2], O_CREAT | O_WRONLY, 0600) : -1;
        return fd < 0 ? 98 : 0;
    }
    fprintf(stderr, "workload: unknown command %s\n", what);
    return 99;
}
