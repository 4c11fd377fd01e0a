/* The least that has a child: fork, execve, wait. No signals, no reaping of others. */
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
    int status = 0;
    if (argc < 2) return 64;
    pid_t child = fork();
    if (child == 0) {
        execve(argv[1], argv + 1, environ);
        _exit(127);
    }
    if (waitpid(child, &status, 0) < 0) return 125;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
