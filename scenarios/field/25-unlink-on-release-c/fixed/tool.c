// A counter behind flock(2):  inc | get
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int acquire(void) {
    for (;;) {
        struct stat held, named;
        int lock = open("lock", O_RDWR | O_CREAT, 0600);
        if (lock < 0 || flock(lock, LOCK_EX) || fstat(lock, &held)) exit(4);
        if (stat("lock", &named) == 0 && named.st_dev == held.st_dev && named.st_ino == held.st_ino) return lock;
        close(lock); // a file that has been removed while we waited: nobody else will lock it
    }
}

static void release(int lock) {
    unlink("lock");
    close(lock);
}

static int number(void) {
    char text[16] = {0};
    int file = open("count", O_RDONLY);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 1) exit(3);
    close(file);
    return atoi(text);
}

static void save(int n) {
    int file = open("count~", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dprintf(file, "%d\n", n) < 0 || close(file) || rename("count~", "count")) exit(4);
}

int main(int argc, char **argv) {
    const char *folder = getenv("TOOL_DIR");
    if (argc != 2 || (folder && chdir(folder))) return 2;
    int n;
    if (!strcmp(argv[1], "inc")) {
        int lock = acquire();
        n = number() + 1;
        save(n);
        release(lock);
    } else if (!strcmp(argv[1], "get")) {
        n = number();
    } else {
        return 2;
    }
    printf("%d\n", n);
    return 0;
}
