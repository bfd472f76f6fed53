/* The cost of system calls under a seccomp filter: percall FILTER CALLS. FILTER is a file of struct sock_filter, or "-" for
 * none. Prints the name of each call and its nanoseconds, one a line. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 100

static int zero, null, ready, opened[BATCH];
static unsigned word;
static char byte;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void load(const char *path)
{
    static struct sock_filter code[4096];
    FILE *file = fopen(path, "r");
    if (!file)
        die(path);
    struct sock_fprog program = {.len = fread(code, sizeof *code, 4096, file), .filter = code};
    fclose(file);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
        die("seccomp");
}

static long call(int which, int turn)
{
    struct epoll_event event;
    switch (which) {
    case 0:
        return syscall(SYS_read, zero, &byte, 1);
    case 1:
        return syscall(SYS_write, null, &byte, 1);
    case 2:
        return syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    case 3:
#ifdef SYS_epoll_wait
        return syscall(SYS_epoll_wait, ready, &event, 1, 0);
#else
        return syscall(SYS_epoll_pwait, ready, &event, 1, 0, NULL, 8);
#endif
    case 4:
        return opened[turn] = syscall(SYS_openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY);
    default:
        return syscall(SYS_ioctl, ready, FIOCLEX);
    }
}

static const char *names[] = {"read", "write", "futex", "epoll_wait", "openat", "ioctl"};

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    long batches = atol(argv[2]) / BATCH;
    int event = eventfd(1, 0);
    struct epoll_event interest = {.events = EPOLLIN};
    zero = open("/dev/zero", O_RDONLY);
    null = open("/dev/null", O_WRONLY);
    ready = epoll_create1(0);
    if (zero < 0 || null < 0 || ready < 0 || epoll_ctl(ready, EPOLL_CTL_ADD, event, &interest))
        die("set-up");
    if (strcmp(argv[1], "-"))
        load(argv[1]);
    for (int which = 0; which < 6; which++) {
        double taken = 0;
        for (long batch = 0; batch < batches; batch++) {
            struct timespec before, after;
            clock_gettime(CLOCK_MONOTONIC, &before);
            for (int turn = 0; turn < BATCH; turn++)
                if (call(which, turn) < 0)
                    die(names[which]);
            clock_gettime(CLOCK_MONOTONIC, &after);
            taken += (after.tv_sec - before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec);
            for (int turn = 0; which == 4 && turn < BATCH; turn++)
                close(opened[turn]);
        }
        printf("%s %.2f\n", names[which], taken / (batches * BATCH));
    }
    return 0;
}
