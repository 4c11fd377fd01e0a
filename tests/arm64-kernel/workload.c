/* The workload under mak-init as PID 1 of a real kernel (tests/arm64-kernel.sh).
 *
 *   workload          is PID 1's child, sees its signals forwarded and its orphans reaped; ends with 9
 *   workload stubborn asks PID 1 to stop, ignores TERM, and leaves an orphan that ignores it too; ends by KILL
 *   workload greedy   puts PID 1 and itself into a control group (version 2) with little memory and takes more; started
 *                     again after that, prints what the termination message says of it; ends with 9
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
#include <sys/stat.h>
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

static void write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    expect(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
    close(fd);
}

static int be_greedy(const char *message) {
    char text[4096] = "";
    int fd = open(message, O_RDONLY);
    if (fd >= 0) {
        expect(read(fd, text, sizeof text - 1) > 0, "the termination message is not empty");
        printf("workload: the message says: %s", text);
        fflush(stdout);
        return 9;
    }
    print_name_of_pid_1();
    write_file(message, "");
    expect(mount("cgroup2", "/sys", "cgroup2", 0, NULL) == 0, "cgroup2 can be mounted");
    write_file("/sys/cgroup.subtree_control", "+memory");
    expect(mkdir("/sys/small", 0755) == 0, "a control group can be made");
    write_file("/sys/small/memory.max", "16M");
    write_file("/sys/small/cgroup.procs", "1");
    write_file("/sys/small/cgroup.procs", "0");
    for (;;) {
        char *piece = malloc(1 << 20);
        expect(piece != NULL, "memory is promised");
        memset(piece, 1, 1 << 20);
    }
}

int main(int argc, char **argv) {
    if (argc > 2 && strcmp(argv[1], "greedy") == 0) return be_greedy(argv[2]);
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
