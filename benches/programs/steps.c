/* Runs a static program one instruction at a time and prints which of its addresses a start makes use of, for
   benches/hot-code.py: "x ADDRESS PHASES" for each instruction that was executed, "d ADDRESS PHASES" for each address
   that stood in a register, which is how constants are reached. PHASES: 1 = set-up, 2 = the loop, which begins with
   the first madvise(2), 3 = both. The program's own output and its workload's are left alone. x86-64 only. */
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BASE 0x400000
#define SIZE (4 << 20)
#define SYSCALL 0x050f

static unsigned char executed[SIZE], pointed[SIZE];

static int inside(unsigned long address) { return address - BASE < SIZE; }

static void print(char what, const unsigned char *phases) {
    for (long at = 0; at < SIZE; at++)
        if (phases[at]) printf("%c %lx %d\n", what, BASE + at, phases[at]);
}

int main(int argc, char **argv) {
    int status, phase = 1;
    if (argc < 2) return 64;
    pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0) _exit(126);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        struct user_regs_struct registers;
        ptrace(PTRACE_GETREGS, child, 0, &registers);
        if (registers.rax == SYS_madvise && (ptrace(PTRACE_PEEKTEXT, child, registers.rip, 0) & 0xffff) == SYSCALL)
            phase = 2;
        if (inside(registers.rip)) executed[registers.rip - BASE] |= phase;
        unsigned long held[] = {registers.rax, registers.rbx, registers.rcx, registers.rdx, registers.rsi,
                                registers.rdi, registers.rbp, registers.r8,  registers.r9,  registers.r10,
                                registers.r11, registers.r12, registers.r13, registers.r14, registers.r15};
        for (unsigned at = 0; at < sizeof held / sizeof held[0]; at++)
            if (inside(held[at])) pointed[held[at] - BASE] |= phase;
        ptrace(PTRACE_SINGLESTEP, child, 0, WIFSTOPPED(status) && WSTOPSIG(status) != 5 ? WSTOPSIG(status) : 0);
    }
    print('x', executed);
    print('d', pointed);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
