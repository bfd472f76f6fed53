/* The helper of hardening_landlock: it confines itself with Landlock (landlock(7)) and executes the command.
 *
 *     landlock handle=CLASS… CLASS=PATH… CLASS=PORT… -- COMMAND [ARGUMENT…]
 *
 * A CLASS that is handled is denied but for what a rule permits: read, write, truncate, execute and ioctl below a PATH, bind
 * and connect of a TCP PORT; abstract (unix sockets) and signals are confined to the command's own processes. A rule of
 * `write` is one of `truncate` as well. A PATH that is not there is passed over: there is nothing to permit.
 *
 * It runs with the command's rights and makes no allocation, uses no library and reads no file. Whatever it cannot do ends it
 * with 125, before the command; a command that cannot be executed does with 126, one that is not there with 127. */

typedef unsigned long u64;
typedef unsigned int u32;

#if defined(__x86_64__)
enum { WRITE = 1, CLOSE = 3, FCNTL = 72, EXECVE = 59, EXIT = 231, OPENAT = 257, DIRECTORY = 0200000 };
static long call(long number, long a, long b, long c, long d)
{
	long result;
	register long r10 __asm__("r10") = d;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\thlt\n");
#elif defined(__aarch64__)
enum { WRITE = 64, CLOSE = 57, FCNTL = 25, EXECVE = 221, EXIT = 94, OPENAT = 56, DIRECTORY = 040000 };
static long call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl begin\n\tbrk #0\n");
#else
#error "this architecture has no helper yet: say how it makes a system call"
#endif

enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { O_PATH = 010000000, O_CLOEXEC = 02000000, AT_FDCWD = -100, F_GETFL = 3, O_ACCMODE = 3, O_WRONLY = 1, O_RDONLY = 0 };
enum { EPERM = 1, ENOENT = 2, E2BIG = 7, ENOEXEC = 8, EACCES = 13, ENOTDIR = 20, EINVAL = 22, ENOSYS = 38, EBADFD = 77 };
enum { EOPNOTSUPP = 95 };
enum { PATH_BENEATH = 1, NET_PORT = 2 };

/* LANDLOCK_ACCESS_FS_* of linux/landlock.h */
enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_CHANGE_DIR = 0x1ff0, /* REMOVE_DIR, REMOVE_FILE, MAKE_CHAR … MAKE_SYM */
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

struct ruleset { /* struct landlock_ruleset_attr */
	u64 fs, net, scoped;
};
struct path_beneath {
	u64 allowed;
	int parent;
} __attribute__((packed));
struct net_port {
	u64 allowed, port;
};

static const struct class {
	const char *name;
	u64 fs, net, scoped;
} classes[] = {
	{"read", FS_READ_FILE | FS_READ_DIR, 0, 0},
	{"write", FS_WRITE_FILE | FS_CHANGE_DIR | FS_REFER, 0, 0},
	{"truncate", FS_TRUNCATE, 0, 0},
	{"execute", FS_EXECUTE, 0, 0},
	{"ioctl", FS_IOCTL_DEV, 0, 0},
	{"bind", 0, 1, 0},
	{"connect", 0, 2, 0},
	{"abstract", 0, 0, 1},
	{"signals", 0, 0, 2},
};

static u64 length(const char *text)
{
	u64 size = 0;
	while (text[size])
		size++;
	return size;
}

static void say(const char *text)
{
	call(WRITE, 2, (long)text, length(text), 0);
}

/* The rest of a text behind what it begins with; 0 where it begins otherwise. */
static const char *after(const char *text, const char *begin)
{
	while (*begin)
		if (*text++ != *begin++)
			return 0;
	return text;
}

static __attribute__((noreturn)) void finish(int code, long error)
{
	char digits[4] = "000";
	switch (-error) {
	case 0: break;
	case EPERM: say(": Operation not permitted"); break;
	case ENOENT: say(": No such file or directory"); break;
	case E2BIG: say(": Argument list too long"); break;
	case ENOEXEC: say(": Exec format error"); break;
	case EACCES: say(": Permission denied"); break;
	case ENOTDIR: say(": Not a directory"); break;
	case EINVAL: say(": Invalid argument"); break;
	case ENOSYS: say(": Function not implemented"); break;
	case EOPNOTSUPP: say(": Operation not supported"); break;
	default:
		digits[0] += -error / 100 % 10, digits[1] += -error / 10 % 10, digits[2] += -error % 10;
		say(": error "), say(digits);
	}
	say("\n");
	call(EXIT, code, 0, 0, 0);
	__builtin_unreachable();
}

/* The command is not confined. */
static __attribute__((noreturn)) void end(const char *what, const char *about, long error)
{
	say("hardening: landlock: "), say(what), say(about);
	finish(125, error);
}

static const struct class *find(const char *word, const char **value)
{
	for (u64 at = 0; at < sizeof classes / sizeof *classes; at++) {
		const char *rest = after(word, classes[at].name);
		if (rest && (*rest == '=' || !*rest)) {
			*value = *rest ? rest + 1 : rest;
			return &classes[at];
		}
	}
	end("no word of this helper: ", word, 0);
}

static u64 number(const char *text)
{
	u64 value = 0;
	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || value > 65535)
			end("no port: ", text, 0);
		value = value * 10 + (*at - '0');
	}
	return value;
}

static void permit_path(long rules, const char *path, u64 allowed)
{
	struct path_beneath rule = {allowed, 0};
	long fd = call(OPENAT, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC | DIRECTORY, 0), error;
	if (fd == -ENOTDIR) {
		rule.allowed &= FS_OF_FILES;
		fd = call(OPENAT, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0);
	}
	if (fd == -ENOENT || !rule.allowed)
		return;
	if (fd < 0)
		end("cannot look at ", path, fd);
	rule.parent = fd;
	error = call(ADD_RULE, rules, PATH_BENEATH, (long)&rule, 0);
	if (error && error != -EBADFD) /* a file system that nobody can confine has nothing to permit */
		end("cannot permit ", path, error);
	call(CLOSE, fd, 0, 0, 0);
}

/* What the command was given open may be opened again by its name (/dev/stdout), as it was opened and no wider. */
static void permit_stream(long rules, int fd, u64 handled)
{
	long flags = call(FCNTL, fd, F_GETFL, 0, 0), error;
	struct path_beneath rule = {FS_IOCTL_DEV, fd};
	if (flags < 0)
		return;
	if ((flags & O_ACCMODE) != O_WRONLY)
		rule.allowed |= FS_READ_FILE;
	if ((flags & O_ACCMODE) != O_RDONLY)
		rule.allowed |= FS_WRITE_FILE | FS_TRUNCATE;
	rule.allowed &= handled;
	error = rule.allowed ? call(ADD_RULE, rules, PATH_BENEATH, (long)&rule, 0) : 0;
	if (error && error != -EBADFD) /* a pipe or a socket, which Landlock leaves alone */
		end("cannot permit a standard stream", "", error);
}

static void confine(char **words)
{
	struct ruleset handled = {0, 0, 0};
	const char *value;
	long rules, error;
	for (char **word = words; *word; word++) {
		const char *name = after(*word, "handle=");
		if (name) {
			const struct class *found = find(name, &value);
			handled.fs |= found->fs, handled.net |= found->net, handled.scoped |= found->scoped;
		}
	}
	rules = call(CREATE_RULESET, (long)&handled, sizeof handled, 0, 0);
	if (rules < 0)
		end("landlock_create_ruleset", "", rules);
	for (char **word = words; *word; word++) {
		if (after(*word, "handle="))
			continue;
		const struct class *found = find(*word, &value);
		if (found->net) {
			struct net_port rule = {found->net & handled.net, number(value)};
			error = rule.allowed ? call(ADD_RULE, rules, NET_PORT, (long)&rule, 0) : 0;
			if (error)
				end("cannot permit the port ", value, error);
		} else if (found->fs) {
			permit_path(rules, value, (found->fs & FS_WRITE_FILE ? found->fs | FS_TRUNCATE : found->fs) & handled.fs);
		} else {
			end("nothing can be permitted of ", *word, 0);
		}
	}
	for (int fd = 0; fd < 3; fd++)
		permit_stream(rules, fd, handled.fs);
	error = call(RESTRICT_SELF, rules, 0, 0, 0);
	if (error)
		end("landlock_restrict_self", "", error);
	call(CLOSE, rules, 0, 0, 0);
}

/* Whether there is no such file; else it is the file's interpreter that execve(2) misses. */
static int missing(const char *path)
{
	long fd = call(OPENAT, AT_FDCWD, (long)path, O_PATH | O_CLOEXEC, 0);
	return fd == -ENOENT || fd == -ENOTDIR;
}

/* The command is not executed: the words and codes of the native launcher, whose last look was before (its lookup.py). */
static __attribute__((noreturn)) void fail(const char *path, const char *lacking, long error)
{
	say("hardening: "), say(path);
	if (lacking)
		say(lacking), finish(127, 0);
	if (error == -ENOENT)
		say(": exists, but its interpreter or dynamic loader does not"), finish(127, 0);
	say(": cannot be executed"), finish(126, error);
}

/* execvp(3), with the PATH that launchers take where there is none (hardening.base.places.OF_COMMANDS). */
static __attribute__((noreturn)) void execute(char **command, char **variables)
{
	static char place[8192];
	const char *search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *name = command[0];
	long error, refused = 0;
	for (const char *at = name; *at; at++)
		if (*at == '/') {
			error = call(EXECVE, (long)name, (long)command, (long)variables, 0);
			fail(name, missing(name) ? ": no such file in the container" : 0, error);
		}
	for (char **variable = variables; *variable; variable++)
		if (after(*variable, "PATH="))
			search = *variable + 5;
	for (const char *begin = search;; begin++) {
		u64 size = 0, rest = length(name);
		while (begin[size] && begin[size] != ':')
			size++;
		if (size + rest + 3 <= sizeof place) {
			u64 at = 0;
			for (; at < size; at++)
				place[at] = begin[at];
			if (!size)
				place[at++] = '.';
			place[at++] = '/';
			for (u64 from = 0; from <= rest; from++)
				place[at + from] = name[from];
			error = call(EXECVE, (long)place, (long)command, (long)variables, 0);
			if (error == -EACCES)
				refused = error;
			else if (!missing(place))
				fail(place, 0, error);
		}
		begin += size;
		if (!*begin)
			break;
	}
	fail(name, refused ? 0 : ": command not found in the container", refused);
}

void __attribute__((noreturn, used)) begin(long *stack)
{
	long count = stack[0];
	char **words = (char **)(stack + 1), **variables = words + count + 1;
	for (long at = 1; at < count; at++)
		if (words[at][0] == '-' && words[at][1] == '-' && !words[at][2] && at + 1 < count) {
			words[at] = 0;
			confine(words + 1);
			execute(words + at + 1, variables);
		}
	end("no command behind --", "", 0);
}
