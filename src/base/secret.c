/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Idea. Pages from mmap, each cut into granules with a map of those in use; what is larger than
 * half a page has a mapping of its own. A page without a granule in use goes back to the kernel,
 * but for the last. There are a few dozen secrets a pool, made and freed when pools and connections
 * are opened, so a search through a list under a lock is quick enough.
 *
 * MADV_DONTDUMP keeps the pages out of core dumps, mlock out of swap. Both are asked for, and
 * neither is needed: a process may lock little memory, and another kernel may know no such advice.
 * Not MADV_WIPEONFORK: with fork=reopen a child connects with what its parent was given.
 *
 * Fork. The forking thread holds the lock across the fork, so that a child finds it free.
 */
#include "base/secret.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

#define PAGE 4096 /* what is used of one: the smallest there is */
#define GRANULE 32
#define GRANULES (PAGE / GRANULE)
#define LARGE (PAGE / 2)

struct page {
	struct page *next, **prev;
	uint32_t in_use; /* granules, without those of this head */
	bool map[GRANULES];
};

#define HEAD ((sizeof(struct page) + GRANULE - 1) / GRANULE)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct page *pages; /* under the lock */

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void install_handlers(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
}

/* ---- mappings ---- */

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t rounded(size_t size)
{
	size_t page = page_size();

	return (size + page - 1) / page * page;
}

static void *map(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	(void)madvise(at, size, MADV_DONTDUMP);
	(void)mlock(at, size);
	return at;
}

/* ---- pages; under the lock ---- */

static struct page *add_page(void)
{
	struct page *p = map(page_size());

	if (!p)
		return NULL;
	memset(p->map, true, HEAD);
	p->next = pages;
	p->prev = &pages;
	if (pages)
		pages->prev = &p->next;
	pages = p;
	return p;
}

static void drop_page(struct page *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	munmap(p, page_size());
}

/* n free granules in a row, or NULL. */
static void *take(struct page *p, size_t n)
{
	size_t run = 0;

	for (size_t i = HEAD; i < GRANULES; i++) {
		run = p->map[i] ? 0 : run + 1;
		if (run < n)
			continue;
		memset(&p->map[i + 1 - n], true, n);
		p->in_use += (uint32_t)n;
		return (char *)p + (i + 1 - n) * GRANULE;
	}
	return NULL;
}

static void *take_anywhere(size_t n)
{
	void *at = NULL;
	struct page *p;

	for (p = pages; p && !at; p = p->next)
		at = take(p, n);
	if (at)
		return at;
	p = add_page();
	return p ? take(p, n) : NULL;
}

static size_t granules(size_t size)
{
	return size ? (size + GRANULE - 1) / GRANULE : 1;
}

/* ---- the face ---- */

void *wi_secret_alloc(size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	void *at;

	if (wi_alloc_fails_now())
		return NULL;
	pthread_once(&once, install_handlers);
	if (size > LARGE) {
		at = map(rounded(size));
	} else {
		pthread_mutex_lock(&lock);
		at = take_anywhere(granules(size));
		pthread_mutex_unlock(&lock);
	}
	if (at)
		wi_alloc_count_out(size);
	return at; /* fresh from the kernel, or wiped by its last user */
}

void wi_secret_free(void *memory, size_t size)
{
	struct page *p = (struct page *)((uintptr_t)memory & ~(uintptr_t)(page_size() - 1));

	if (!memory)
		return;
	wi_alloc_count_in(size);
	explicit_bzero(memory, size);
	if (size > LARGE) {
		munmap(memory, rounded(size));
		return;
	}
	pthread_mutex_lock(&lock);
	memset(&p->map[(size_t)((char *)memory - (char *)p) / GRANULE], false, granules(size));
	p->in_use -= (uint32_t)granules(size);
	if (!p->in_use && (p->next || p != pages)) /* one is kept, wiped */
		drop_page(p);
	pthread_mutex_unlock(&lock);
}

char *wi_secret_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = wi_secret_alloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

void wi_secret_strfree(char *text)
{
	if (text)
		wi_secret_free(text, strlen(text) + 1);
}
