/* Runs a static program one instruction at a time and prints the address of every instruction that it executed:
   benches/hot-code.py makes the order of the code from them. */
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE 0x400000
#define SIZE (4 << 20)

static unsigned char executed[SIZE];

int main(int argc, char **argv) {
    int status;
    if (argc < 2) return 64;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, child, 0, &registers);
        if (registers.rip - BASE < SIZE) executed[registers.rip - BASE] = 1;
        ptrace(PTRACE_SINGLESTEP, child, 0, 0);
    }
    for (long at = 0; at < SIZE; at++)
        if (executed[at]) printf("%lx\n", BASE + at);
}
