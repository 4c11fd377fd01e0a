/* One question and its whole answer over a new connection to 127.0.0.1, again and again: what the network and the
   endpoint take of a probe's time, without a process to start. Prints the median in nanoseconds.

       round_trip PORT PATH ROUNDS */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 64;
    int rounds = atoi(argv[3]);
    long *took = calloc(rounds, sizeof *took);
    char request[256], answer[65536];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", argv[2]);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int round = 0; round < rounds; round++) {
        long began = now();
        int s = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(s, (struct sockaddr *)&to, sizeof to) || write(s, request, length) != length)
            return 1;
        ssize_t total = 0, got;
        while ((got = read(s, answer, sizeof answer)) > 0)
            total += got;
        close(s);
        took[round] = now() - began;
        if (total == 0)
            return 1;
    }
    qsort(took, rounds, sizeof *took, by_size);
    printf("%ld\n", took[rounds / 2]);
    return 0;
}
