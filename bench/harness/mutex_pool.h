/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plain twin of a pool: what most people would write. A mutex, a stack of items, a condition
 * variable; whoever wakes first takes (barging). The baseline beside weir's numbers.
 */
#ifndef BENCH_MUTEX_POOL_H
#define BENCH_MUTEX_POOL_H

#include <pthread.h>

#define MUTEX_POOL_MAX 256

struct mutex_pool {
	pthread_mutex_t lock;
	pthread_cond_t back;
	unsigned len;
	unsigned item[MUTEX_POOL_MAX];
};

static inline void mutex_pool_init(struct mutex_pool *p, unsigned items)
{
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->back, NULL);
	for (p->len = 0; p->len < items; p->len++)
		p->item[p->len] = p->len + 1;
}

static inline void mutex_pool_fini(struct mutex_pool *p)
{
	pthread_cond_destroy(&p->back);
	pthread_mutex_destroy(&p->lock);
}

static inline unsigned mutex_pool_take(struct mutex_pool *p)
{
	unsigned item;

	pthread_mutex_lock(&p->lock);
	while (p->len == 0)
		pthread_cond_wait(&p->back, &p->lock);
	item = p->item[--p->len];
	pthread_mutex_unlock(&p->lock);
	return item;
}

static inline void mutex_pool_put(struct mutex_pool *p, unsigned item)
{
	pthread_mutex_lock(&p->lock);
	p->item[p->len++] = item;
	pthread_mutex_unlock(&p->lock);
	pthread_cond_signal(&p->back);
}

#endif
