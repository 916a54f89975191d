// A counter with a highest value, in a file that is its own lock:  inc | get
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
enum { WIDTH = 8, HIGHEST = 1000 };

static int number(int file) {
    char text[WIDTH + 1] = {0};
    return pread(file, text, WIDTH, 0) == WIDTH ? atoi(text) : 0;
}

int main(int argc, char **argv) {
    const char *folder = getenv("TOOL_DIR");
    if (argc != 2 || (folder && chdir(folder))) return 2;
    int inc = !strcmp(argv[1], "inc");
    if (!inc && strcmp(argv[1], "get")) return 2;
    int file = open("count", O_RDWR | O_CREAT, 0600);
    if (file < 0 || flock(file, inc ? LOCK_EX : LOCK_SH)) return 4; // who may write takes the exclusive lock at once
    int n = number(file);
    if (inc && n < HIGHEST) {
        n++;
        if (dprintf(file, "%0*d", WIDTH, n) != WIDTH) return 4;
    }
    printf("%d\n", n);
    return 0;
}
