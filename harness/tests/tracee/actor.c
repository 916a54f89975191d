/* Does what its arguments say, one system call after the other, and prints what came of each. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mtio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char **words;
static int count;
static int fds[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
static int ends[2];
static pthread_t first;

static void tell(const char *what, long result) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s %ld\n", what, result < 0 ? -(long)errno : result);
    if (write(1, line, length) < 0) _exit(9);
}

static int how(const char *text) {
    int flags = 0;
    if (strchr(text, 'r')) flags |= O_RDONLY;
    if (strchr(text, 'w')) flags |= O_RDWR;
    if (strchr(text, 'c')) flags |= O_CREAT;
    if (strchr(text, 'x')) flags |= O_EXCL;
    if (strchr(text, 't')) flags |= O_TRUNC;
    if (strchr(text, 'a')) flags |= O_APPEND;
    return flags | O_CLOEXEC;
}

static void *run(void *from);

static void *idle(void *nothing) { pause(); return nothing; }

/* The child that was forked last. */
static pid_t youngest;

static volatile sig_atomic_t heard;

static void hear(int which) { (void)which; heard++; }

/* The descriptor that a child puts in the place of another, in a table that it shares. */
static int swapped[2];
static char stack[1 << 16];

static int swap(void *from) { (void)from; _exit(dup2(swapped[0], swapped[1]) < 0); }

/* The place after the end that belongs to a beginning. */
static int skip(int at, const char *begin, const char *end) {
    for (int depth = 1; at < count && depth; at++) depth += !strcmp(words[at], begin) - !strcmp(words[at], end);
    return at;
}

/* Reaches into the parent. */
static long reach(const char *how, int number) {
    pid_t parent = getppid();
    siginfo_t information = {.si_signo = number, .si_code = SI_QUEUE};
    char byte = 0;
    struct iovec own = {&byte, 1}, other = {(void *)4096, 1};
    struct rlimit limit = {1, 1};
    int handle = syscall(434 /* pidfd_open */, parent, 0);
    if (!strcmp(how, "kill")) return kill(parent, number);
    if (!strcmp(how, "tkill")) return syscall(SYS_tkill, parent, number);
    if (!strcmp(how, "tgkill")) return syscall(SYS_tgkill, parent, parent, number);
    if (!strcmp(how, "queue")) return syscall(SYS_rt_sigqueueinfo, parent, number, &information);
    if (!strcmp(how, "pidfd")) return syscall(424 /* pidfd_send_signal */, handle, number, 0, 0);
    if (!strcmp(how, "group")) return kill(-getpgid(parent), number);
    if (!strcmp(how, "ptrace")) return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, parent, 0, 0);
    if (!strcmp(how, "memory")) return syscall(SYS_process_vm_writev, parent, &own, 1, &other, 1, 0);
    if (!strcmp(how, "descriptor")) return syscall(438 /* pidfd_getfd */, handle, 0, 0);
    if (!strcmp(how, "limits")) return syscall(SYS_prlimit64, parent, RLIMIT_NOFILE, &limit, 0);
    _exit(7);
}

static int fcntl_lock(int fd, int command, int type, long start, long length) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &lock);
}

static void *run(void *from) {
    pthread_t thread = 0;
    for (int at = (int)(long)from; at < count;) {
        char *op = words[at++];
#define NEXT words[at++]
        if (!strcmp(op, "open")) { int slot = atoi(NEXT); char *path = NEXT; char *flags = NEXT;
            fds[slot] = open(path, how(flags), 0644); tell("open", fds[slot] < 0 ? -1 : 0); }
        else if (!strcmp(op, "close")) { int slot = atoi(NEXT); tell("close", close(fds[slot])); fds[slot] = -1; }
        else if (!strcmp(op, "read")) { int slot = atoi(NEXT); char text[64] = {0};
            long got = pread(fds[slot], text, 60, 0); tell(text, got); }
        else if (!strcmp(op, "write")) { int slot = atoi(NEXT); char *text = NEXT;
            tell("write", write(fds[slot], text, strlen(text))); }
        else if (!strcmp(op, "put")) { int slot = atoi(NEXT); char *text = NEXT;
            tell("put", pwrite(fds[slot], text, strlen(text), 0)); }
        else if (!strcmp(op, "add")) { int slot = atoi(NEXT); char text[32] = {0};
            if (pread(fds[slot], text, 30, 0) < 0) tell("add", -1);
            snprintf(text, sizeof text, "%d\n", atoi(text) + 1);
            tell("add", pwrite(fds[slot], text, strlen(text), 0)); }
        else if (!strcmp(op, "resize")) { int slot = atoi(NEXT); tell("resize", ftruncate(fds[slot], atoi(NEXT))); }
        else if (!strcmp(op, "size")) { int slot = atoi(NEXT); struct stat s; int r = fstat(fds[slot], &s);
            tell("size", r ? -1 : S_ISREG(s.st_mode) ? s.st_size : 0); }
        else if (!strcmp(op, "ask")) { int slot = atoi(NEXT); int left = 0; int r = ioctl(fds[slot], FIONREAD, &left);
            tell("ask", r ? -1 : left); }
        else if (!strcmp(op, "tape")) { int slot = atoi(NEXT); struct mtop back = {.mt_op = MTBSR, .mt_count = 1};
            tell("tape", ioctl(fds[slot], MTIOCTOP, &back)); }
        else if (!strcmp(op, "end")) { int slot = atoi(NEXT); tell("end", lseek(fds[slot], 0, SEEK_END)); }
        else if (!strcmp(op, "mv")) { char *a = NEXT; char *b = NEXT; tell("mv", rename(a, b)); }
        else if (!strcmp(op, "swap")) { char *a = NEXT; char *b = NEXT; tell("swap", (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE, which musl does not name */)); }
        else if (!strcmp(op, "ln")) { char *a = NEXT; char *b = NEXT; tell("ln", link(a, b)); }
        else if (!strcmp(op, "sym")) { char *a = NEXT; char *b = NEXT; tell("sym", symlink(a, b)); }
        else if (!strcmp(op, "rm")) { tell("rm", unlink(NEXT)); }
        else if (!strcmp(op, "mkdir")) { tell("mkdir", mkdir(NEXT, 0755)); }
        else if (!strcmp(op, "rmdir")) { tell("rmdir", rmdir(NEXT)); }
        else if (!strcmp(op, "chmod")) { tell("chmod", chmod(NEXT, 0700)); }
        else if (!strcmp(op, "trunc")) { char *a = NEXT; tell("trunc", truncate(a, atoi(NEXT))); }
        else if (!strcmp(op, "stat")) { struct stat s; char *a = NEXT; int r = stat(a, &s);
            tell("stat", r ? -1 : S_ISREG(s.st_mode) ? s.st_size + 100 * s.st_nlink : 1); }
        else if (!strcmp(op, "lstat")) { struct stat s; char *a = NEXT; int r = lstat(a, &s);
            tell("lstat", r ? -1 : (long)(s.st_mode >> 12)); }
        else if (!strcmp(op, "ls")) { DIR *d = opendir(NEXT); unsigned long sum = 0;
            if (d) { struct dirent *e; while ((e = readdir(d))) for (char *c = e->d_name; *c; c++) sum += *c; closedir(d); }
            tell("ls", d ? (long)sum : -1); }
        else if (!strcmp(op, "chdir")) { tell("chdir", chdir(NEXT)); }
        else if (!strcmp(op, "flock")) { int slot = atoi(NEXT); char *k = NEXT;
            int o = strchr(k, 'x') ? LOCK_EX : strchr(k, 's') ? LOCK_SH : LOCK_UN;
            if (strchr(k, 'n')) o |= LOCK_NB; tell("flock", flock(fds[slot], o)); }
        else if (!strcmp(op, "lock")) { int slot = atoi(NEXT); char *k = NEXT; long start = atol(NEXT); long length = atol(NEXT);
            int type = strchr(k, 'x') ? F_WRLCK : strchr(k, 's') ? F_RDLCK : F_UNLCK;
            int posix = strchr(k, 'p') != 0, try = strchr(k, 'n') != 0;
            int command = posix ? (try ? F_SETLK : F_SETLKW) : (try ? F_OFD_SETLK : F_OFD_SETLKW);
            tell("lock", fcntl_lock(fds[slot], command, type, start, length)); }
        else if (!strcmp(op, "fork")) { int end = skip(at, "fork", "endfork"); pid_t child = fork();
            if (child == 0) { count = end - 1; run((void *)(long)at); _exit(0); } youngest = child; at = end; }
        else if (!strcmp(op, "wait")) { int status, ended; while ((ended = wait(&status)) > 0 || (ended < 0 && errno == EINTR))
            if (ended > 0) tell("wait", WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status)); }
        else if (!strcmp(op, "catch")) { struct sigaction caught = {.sa_handler = hear}; /* without SA_RESTART */
            int which = !strcmp(NEXT, "child") ? SIGCHLD : SIGUSR1; tell("catch", sigaction(which, &caught, 0)); }
        else if (!strcmp(op, "signal")) { tell("signal", kill(getppid(), SIGUSR1)); }
        else if (!strcmp(op, "kill")) { tell("kill", kill(youngest, atoi(NEXT))); }
        else if (!strcmp(op, "killself")) { raise(atoi(NEXT)); }
        else if (!strcmp(op, "crash")) { signal(SIGSEGV, SIG_DFL); *(volatile int *)0 = 1; }
        else if (!strcmp(op, "reach")) { char *how = NEXT; tell(how, reach(how, atoi(NEXT))); }
        else if (!strcmp(op, "reachpid")) { pid_t pid = atoi(NEXT); tell("reachpid", kill(pid, atoi(NEXT))); }
        else if (!strcmp(op, "killparent")) { tell("killparent", kill(getppid(), atoi(NEXT))); }
        else if (!strcmp(op, "killgroup")) { tell("killgroup", kill(0, atoi(NEXT))); }
        else if (!strcmp(op, "killall")) { tell("killall", kill(-1, atoi(NEXT))); }
        else if (!strcmp(op, "group")) { tell("group", setpgid(0, 0)); }
        else if (!strcmp(op, "ignore")) { tell("ignore", signal(atoi(NEXT), SIG_IGN) == SIG_ERR ? -1 : 0); }
        else if (!strcmp(op, "pause")) { for (;;) pause(); }
        else if (!strcmp(op, "signalfirst")) { tell("signalfirst", -pthread_kill(first, SIGUSR1)); }
        else if (!strcmp(op, "block")) { sigset_t one; sigemptyset(&one); sigaddset(&one, SIGUSR1);
            tell("block", sigprocmask(SIG_BLOCK, &one, 0)); }
        else if (!strcmp(op, "ppoll")) { sigset_t none; sigemptyset(&none); struct timespec limit = {.tv_sec = 1000};
            tell("ppoll", ppoll(0, 0, &limit, &none)); }
        else if (!strcmp(op, "heard")) { while (!heard) {} tell("heard", 0); }
        else if (!strcmp(op, "poll")) { int status; struct stat s; while (waitpid(-1, &status, WNOHANG) == 0) stat(NEXT, &s), at--;
            tell("poll", WEXITSTATUS(status)); at++; }
        else if (!strcmp(op, "thread")) { int end = skip(at, "thread", "endthread"); pthread_create(&thread, 0, run, (void *)(long)at); at = end; }
        else if (!strcmp(op, "endthread")) return 0;
        else if (!strcmp(op, "join")) { tell("join", pthread_join(thread, 0)); }
        else if (!strcmp(op, "leave")) { pthread_exit(0); }
        else if (!strcmp(op, "joinfirst")) { tell("joinfirst", pthread_join(first, 0)); }
        else if (!strcmp(op, "parent")) { tell("parent", getppid()); tell("session", getsid(0)); }
        else if (!strcmp(op, "robust")) { void *head = 0; size_t length; syscall(SYS_get_robust_list, 0, &head, &length);
            tell("robust", head != 0); }
        else if (!strcmp(op, "ends")) { int word = 0; prctl(PR_GET_PDEATHSIG, &word); tell("signal", word);
            prctl(PR_GET_CHILD_SUBREAPER, &word); tell("adopts", word); }
        else if (!strcmp(op, "orphaned")) { prctl(PR_SET_PDEATHSIG, 15); }
        else if (!strcmp(op, "reaper")) { prctl(PR_SET_CHILD_SUBREAPER, 1); }
        else if (!strcmp(op, "unforked")) { void *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (madvise(page, 4096, atoi(NEXT))) _exit(8); }
        else if (!strcmp(op, "pipe")) { tell("pipe", pipe(ends)); }
        else if (!strcmp(op, "send")) { tell("send", write(ends[1], "x", 1)); }
        else if (!strcmp(op, "recv")) { char c; tell("recv", read(ends[0], &c, 1)); }
        else if (!strcmp(op, "fifo")) { tell("fifo", mkfifo(NEXT, 0644)); }
        else if (!strcmp(op, "sleep")) { usleep(1000 * atoi(NEXT)); tell("sleep", 0); }
        else if (!strcmp(op, "until")) { char *path = NEXT; while (access(path, F_OK)) usleep(10000); tell("until", 0); }
        else if (!strcmp(op, "tries")) { char *path = NEXT; int n = atoi(NEXT); while (n-- && access(path, F_OK)) sleep(1); tell("tries", n < 0 ? 0 : 1); }
        else if (!strcmp(op, "spin")) { for (;;) {} }
        else if (!strcmp(op, "dup2")) { int a = atoi(NEXT), b = atoi(NEXT); tell("dup2", dup2(fds[a], fds[b]) < 0 ? -1 : 0); }
        else if (!strcmp(op, "dup3")) { int a = atoi(NEXT), b = atoi(NEXT); tell("dup3", dup3(fds[a], fds[b], O_CLOEXEC) < 0 ? -1 : 0); }
        else if (!strcmp(op, "range")) { int slot = atoi(NEXT); tell("range", syscall(436 /* close_range */, fds[slot], fds[slot], 0)); }
        else if (!strcmp(op, "swapper")) { swapped[0] = fds[atoi(NEXT)]; swapped[1] = fds[atoi(NEXT)];
            if (clone(swap, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_FILES | SIGCHLD, 0) < 0) _exit(8); }
        else if (!strcmp(op, "crowd")) { pthread_attr_t small; pthread_attr_init(&small); pthread_attr_setstacksize(&small, 1 << 14);
            for (int n = atoi(NEXT); n--;) if (pthread_create(&thread, &small, idle, 0)) _exit(8); }
        else if (!strcmp(op, "count")) { /* numbers of processes on from its own, if that file is there, and no more */
            if (!unlink(NEXT)) { int last = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
                if (dprintf(last, "%d", getpid()) < 0) _exit(8); close(last); } }
        else if (!strcmp(op, "exec")) { execv("/proc/self/exe", words + at - 1); tell("exec", -1); }
        else if (!strcmp(op, "exit")) { _exit(atoi(NEXT)); }
        else { fprintf(stderr, "what is %s?\n", op); _exit(99); }
    }
    return 0;
}

int main(int argc, char **argv) {
    words = argv + 1;
    count = argc - 1;
    first = pthread_self();
    run((void *)0);
    return 0;
}
