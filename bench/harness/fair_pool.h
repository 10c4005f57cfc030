/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fair twin of a pool: a mutex, a stack of items, and a queue of waiters with a condition
 * variable each. What comes back goes to the first in the queue, and nobody passes it.
 */
#ifndef BENCH_FAIR_POOL_H
#define BENCH_FAIR_POOL_H

#include <pthread.h>
#include <stddef.h>

#define FAIR_POOL_MAX 256

struct fair_waiter {
	pthread_cond_t served;
	unsigned item; /* 0: not yet */
	struct fair_waiter *next;
};

struct fair_pool {
	pthread_mutex_t lock;
	unsigned len;
	unsigned item[FAIR_POOL_MAX];
	struct fair_waiter *first, **last;
};

static inline void fair_pool_init(struct fair_pool *p, unsigned items)
{
	pthread_mutex_init(&p->lock, NULL);
	p->first = NULL;
	p->last = &p->first;
	for (p->len = 0; p->len < items; p->len++)
		p->item[p->len] = p->len + 1;
}

static inline void fair_pool_fini(struct fair_pool *p)
{
	pthread_mutex_destroy(&p->lock);
}

static inline unsigned fair_pool_take(struct fair_pool *p)
{
	struct fair_waiter me = {.served = PTHREAD_COND_INITIALIZER};

	pthread_mutex_lock(&p->lock);
	if (p->len) {
		me.item = p->item[--p->len];
	} else {
		*p->last = &me;
		p->last = &me.next;
		while (!me.item)
			pthread_cond_wait(&me.served, &p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return me.item;
}

static inline void fair_pool_put(struct fair_pool *p, unsigned item)
{
	struct fair_waiter *w;

	pthread_mutex_lock(&p->lock);
	w = p->first;
	if (w) {
		p->first = w->next;
		if (!p->first)
			p->last = &p->first;
		w->item = item;
		pthread_cond_signal(&w->served); /* w is gone after the unlock */
	} else {
		p->item[p->len++] = item;
	}
	pthread_mutex_unlock(&p->lock);
}

#endif
