/* Records what a process writes below a folder, in the order in which it happened; or makes such a call fail.

   LD_PRELOAD it with RECORD_ROOT (the folder) and RECORD_LOG (the file to write). One lock is held over each
   call, so the order in the log is the order on the disk. FAULT_AT=n, FAULT_COUNT and FAULT_ERRNO make the
   n-th call and those after it fail. record_note() puts a mark of the program's own into the log. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FDS 4096

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static char watched[MOST_FDS]; /* descriptors of files below the root, opened to write, or of folders */
static const char *root;
static int log_fd = -1;
static long calls, fault_at, fault_count, fault_errno;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text ? atol(text) : otherwise;
}

__attribute__((constructor)) static void begin(void) {
    root = getenv("RECORD_ROOT");
    fault_at = number("FAULT_AT", 0);
    fault_count = number("FAULT_COUNT", 1);
    fault_errno = number("FAULT_ERRNO", EIO);
    const char *log = getenv("RECORD_LOG");
    if (root && log)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t length) {
    for (size_t done = 0; done < length;) {
        long more = syscall(SYS_write, log_fd, (const char *)data + done, length - done);
        if (more < 0) abort();
        done += (size_t)more;
    }
}

/* kind, descriptor, offset, length of path and data, both */
static void note(char kind, int fd, int64_t offset, const char *path, const void *data, size_t length) {
    if (log_fd < 0) return;
    struct __attribute__((packed)) { char kind; int32_t fd; int64_t offset; uint32_t path, data; } head =
        {kind, fd, offset, path ? (uint32_t)strlen(path) : 0, (uint32_t)length};
    put(&head, sizeof head);
    if (path) put(path, head.path);
    if (length) put(data, length);
}

void record_note(const char *text) {
    pthread_mutex_lock(&lock);
    note('N', 0, calls, NULL, text, strlen(text));
    pthread_mutex_unlock(&lock);
}

void record_fault(long at) { /* counted from now; 0: none any more */
    calls = 0;
    fault_at = at;
}

long record_calls(void) { return calls; }

static int is_below(const char *path) { /* or the root itself */
    size_t length = root ? strlen(root) : 0;
    return length && path && !strncmp(path, root, length) && (!path[length] || path[length] == '/');
}
static int is_watched(int fd) { return fd >= 0 && fd < MOST_FDS && watched[fd]; }

static int fails(void) {
    calls++;
    if (!fault_at || calls < fault_at || calls >= fault_at + fault_count) return 0;
    errno = (int)fault_errno;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define LOCKED(type, body) \
    pthread_mutex_lock(&lock); \
    type result; \
    body \
    int kept = errno; \
    pthread_mutex_unlock(&lock); \
    errno = kept; \
    return result;

static int opened(int fd, const char *path, int flags) {
    if (fd >= 0 && fd < MOST_FDS) {
        struct stat facts; /* SQLite opens a folder as it would a file */
        watched[fd] = is_below(path) && ((flags & O_ACCMODE) != O_RDONLY ||
                                         (!fstat(fd, &facts) && S_ISDIR(facts.st_mode)));
        if (watched[fd]) note('O', fd, flags & O_TRUNC ? 0 : -1, path, NULL, 0);
    }
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        LOCKED(int, \
            if (is_below(path) && (flags & O_CREAT) && fails()) result = -1; \
            else result = opened(REAL(name)(path, flags, mode), path, flags);) \
    }
OPEN(open)
OPEN(open64)

#define WRITE(name, offset_type) \
    ssize_t name(int fd, const void *data, size_t length, offset_type offset) { \
        LOCKED(ssize_t, \
            if (is_watched(fd) && fails()) result = -1; \
            else { \
                result = REAL(name)(fd, data, length, offset); \
                if (result > 0 && is_watched(fd)) note('W', fd, offset, NULL, data, (size_t)result); \
            }) \
    }
WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t length) {
    if (!is_watched(fd)) return syscall(SYS_write, fd, data, length);
    LOCKED(ssize_t,
        if (fails()) result = -1;
        else {
            off_t offset = lseek(fd, 0, SEEK_CUR);
            result = syscall(SYS_write, fd, data, length);
            if (result > 0) note('W', fd, offset, NULL, data, (size_t)result);
        })
}

#define ON_FD(name, kind, parameters, arguments, offset) \
    int name parameters { \
        LOCKED(int, \
            if (is_watched(fd) && fails()) result = -1; \
            else { \
                result = REAL(name) arguments; \
                if (!result && is_watched(fd)) note(kind, fd, offset, NULL, NULL, 0); \
            }) \
    }
ON_FD(ftruncate, 'T', (int fd, off_t length), (fd, length), length)
ON_FD(ftruncate64, 'T', (int fd, off64_t length), (fd, length), length)
ON_FD(fsync, 'S', (int fd), (fd), 0)
ON_FD(fdatasync, 'S', (int fd), (fd), 0)

int close(int fd) {
    LOCKED(int,
        if (fd >= 0 && fd < MOST_FDS) watched[fd] = 0;
        result = (int)syscall(SYS_close, fd);)
}

#define ON_PATH(name, kind, parameters, arguments, path, second, second_length) \
    int name parameters { \
        LOCKED(int, \
            if (is_below(path) && fails()) result = -1; \
            else { \
                result = REAL(name) arguments; \
                if (!result && is_below(path)) note(kind, 0, 0, path, second, second_length); \
            }) \
    }
ON_PATH(unlink, 'U', (const char *path), (path), path, NULL, 0)
ON_PATH(rename, 'R', (const char *path, const char *to), (path, to), path, to, strlen(to))
ON_PATH(link, 'L', (const char *path, const char *to), (path, to), path, to, strlen(to))
ON_PATH(mkdir, 'M', (const char *path, mode_t mode), (path, mode), path, NULL, 0)
