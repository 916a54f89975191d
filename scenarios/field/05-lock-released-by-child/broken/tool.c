// A counter behind flock(2), whose changes a child process announces:  inc | get
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static int lock = -1;

static void unlock(void) { flock(lock, LOCK_UN); }

static void announce(const char *what) {
    pid_t child = fork();
    if (child == 0) {
        int news = open("news", O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (news >= 0) dprintf(news, "%s\n", what);
        unlock(); // the tidy end of every process; but parent and child share one open file, and one lock
        _exit(news < 0);
    }
    waitpid(child, NULL, 0);
}

static int number(void) {
    int n = 0;
    FILE *f = fopen("count", "r");
    if (f && fscanf(f, "%d", &n) != 1) n = -1;
    if (f) fclose(f);
    return n;
}

int main(int argc, char **argv) {
    const char *folder = getenv("TOOL_DIR");
    if (argc != 2 || (folder && chdir(folder))) return 2;
    int n;
    if (!strcmp(argv[1], "inc")) {
        lock = open("lock", O_RDWR | O_CREAT, 0600);
        if (lock < 0 || flock(lock, LOCK_EX)) return 4;
        announce("inc");
        n = number() + 1;
        FILE *f = fopen("count~", "w");
        if (!f || fprintf(f, "%d\n", n) < 0 || fclose(f) || rename("count~", "count")) return 4;
        unlock();
    } else if (!strcmp(argv[1], "get")) {
        n = number();
    } else {
        return 2;
    }
    if (n < 0) {
        puts("corrupt: no number");
        return 3;
    }
    printf("%d\n", n);
    return 0;
}
