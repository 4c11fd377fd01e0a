/* A workload that never wakes. */
    .section .note.GNU-stack, "", @progbits
    .text
    .globl _start
_start:
#if defined(__x86_64__)
    mov $34, %eax /* pause */
    syscall
#elif defined(__aarch64__)
    mov x0, #0
    mov x1, #0
    mov x2, #0
    mov x3, #0
    mov x4, #0
    mov x8, #73 /* ppoll of nothing, without end */
    svc #0
#endif

#if defined(__x86_64__)
    jmp _start
#elif defined(__aarch64__)
    b _start
#endif
