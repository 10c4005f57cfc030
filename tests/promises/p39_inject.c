/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each function stands in the way of the C library's of that name, counts, and calls the one it
 * stands for, which may be a sanitizer's.
 */
#include "p39_inject.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <weir/alloc.h>

#include "base/assert.h"

#define NOTHING (-1)

const char *const inject_name[INJECT_KINDS] = {"weir's memory", "memory",  "threads",
                                               "sockets",       "eventfd", "epoll",
                                               "epoll_ctl",     "dup",     "lookups"};

_Thread_local bool inject_spares_me;

/* What fails, in one word: so that a call sees an order whole or not at all. */
static _Atomic int kind = NOTHING;
static _Atomic int first, many, calls, failures;

void inject(enum inject what, int from, int count)
{
	atomic_store(&kind, NOTHING);
	atomic_store(&first, from);
	atomic_store(&many, count);
	atomic_store(&calls, 0);
	atomic_store(&failures, 0);
	atomic_store(&kind, (int)what);
}

int inject_end(int *failed)
{
	atomic_store(&kind, NOTHING);
	*failed = atomic_load(&failures);
	return atomic_load(&calls);
}

static bool fails(enum inject what)
{
	int n;

	if (atomic_load(&kind) != (int)what || inject_spares_me)
		return false;
	n = atomic_fetch_add(&calls, 1) + 1;
	if (n < atomic_load(&first) || n - atomic_load(&first) >= atomic_load(&many))
		return false;
	atomic_fetch_add(&failures, 1);
	return true;
}

/* Calls the one that stands behind the function of this name. */
#define BEHIND(name) ((__typeof__(&name))behind(#name, &(static_##name)))
#define KEEPS(name) static _Atomic(void *) static_##name

static void *behind(const char *name, _Atomic(void *) *kept)
{
	void *found = atomic_load(kept);

	if (!found) {
		found = dlsym(RTLD_NEXT, name);
		atomic_store(kept, found);
	}
	return found;
}

/* ---- memory ---- */

static void *table_alloc(void *arg, size_t size, size_t align)
{
	void *memory;

	(void)arg;
	if (fails(INJECT_WEIR_MEMORY) || posix_memalign(&memory, align, size) != 0)
		return NULL;
	return memory;
}

static void table_free(void *arg, void *memory, size_t size)
{
	(void)arg;
	(void)size;
	free(memory);
}

/* Where the code of libcrypto is: it allocates fifty thousand times for one password. */
static uintptr_t crypto_from, crypto_to;

static int find_crypto(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	(void)arg;
	if (!strstr(info->dlpi_name, "/libcrypto.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
			crypto_from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
			crypto_to = crypto_from + info->dlpi_phdr[i].p_memsz;
		}
	return 1;
}

void inject_init(void)
{
	static const weir_allocator table = {table_alloc, table_free, NULL};

	wi_check(weir_allocator_set(&table) == WEIR_OK);
	inject_spares_me = true;
	dl_iterate_phdr(find_crypto, NULL);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

bool inject_can(enum inject what)
{
	return what != INJECT_MEMORY;
}

#else

bool inject_can(enum inject what)
{
	(void)what;
	return true;
}

/* Of libcrypto's one in a thousand counts. */
static bool memory_fails(const void *caller)
{
	static _Atomic uint32_t passed;

	if ((uintptr_t)caller >= crypto_from && (uintptr_t)caller < crypto_to &&
	    atomic_fetch_add(&passed, 1) % 1009)
		return false;
	return fails(INJECT_MEMORY);
}

KEEPS(malloc);
void *malloc(size_t size)
{
	if (memory_fails(__builtin_return_address(0))) {
		errno = ENOMEM;
		return NULL;
	}
	return BEHIND(malloc)(size);
}

KEEPS(calloc);
void *calloc(size_t n, size_t size)
{
	if (memory_fails(__builtin_return_address(0))) {
		errno = ENOMEM;
		return NULL;
	}
	return BEHIND(calloc)(n, size);
}

KEEPS(realloc);
void *realloc(void *memory, size_t size)
{
	if (memory_fails(__builtin_return_address(0))) {
		errno = ENOMEM;
		return NULL;
	}
	return BEHIND(realloc)(memory, size);
}

#endif

/* ---- threads, descriptors, names ---- */

KEEPS(pthread_create);
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	return fails(INJECT_THREAD) ? EAGAIN : BEHIND(pthread_create)(thread, attr, body, arg);
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

KEEPS(socket);
int socket(int domain, int type, int protocol)
{
	return fails(INJECT_SOCKET) ? refuse(EMFILE) : BEHIND(socket)(domain, type, protocol);
}

KEEPS(socketpair);
int socketpair(int domain, int type, int protocol, int pair[2])
{
	return fails(INJECT_SOCKET) ? refuse(EMFILE)
	                            : BEHIND(socketpair)(domain, type, protocol, pair);
}

KEEPS(eventfd);
int eventfd(unsigned int count, int flags)
{
	return fails(INJECT_EVENTFD) ? refuse(EMFILE) : BEHIND(eventfd)(count, flags);
}

KEEPS(epoll_create1);
int epoll_create1(int flags)
{
	return fails(INJECT_EPOLL) ? refuse(EMFILE) : BEHIND(epoll_create1)(flags);
}

KEEPS(epoll_ctl);
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event)
{
	return op != EPOLL_CTL_DEL && fails(INJECT_WATCH) ? refuse(ENOMEM)
	                                                  : BEHIND(epoll_ctl)(epoll, op, fd, event);
}

KEEPS(fcntl);
int fcntl(int fd, int command, ...)
{
	va_list list;
	void *argument;

	va_start(list, command);
	argument = va_arg(list, void *); /* wide enough for each of them */
	va_end(list);
	if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && fails(INJECT_DESCRIPTOR))
		return refuse(EMFILE);
	return BEHIND(fcntl)(fd, command, argument);
}

KEEPS(getaddrinfo);
int getaddrinfo(const char *restrict host, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	return fails(INJECT_LOOKUP) ? EAI_MEMORY : BEHIND(getaddrinfo)(host, service, hints, found);
}
