/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The modelled world: futexes that wake for no reason now and then, a clock that moves when the
 * scheduler says so, membarrier, grace periods, thread-specific values, memory that is poisoned
 * when it is freed.
 */
#ifndef SCHED_WORLD_H
#define SCHED_WORLD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct wi_world;

extern const struct wi_world sched_world;

/* From the so-many-th heavy fence on (0: from the first) there is no membarrier any more. */
void sched_lose_membarrier(int after);

void sched_rcu_enter(void);
void sched_rcu_leave(void);
void sched_rcu_wait(void);

/* posix.c */
struct pollfd;
struct epoll_event;
int sched_thread_create(pthread_t *thread, void *(*run)(void *), void *arg);
void sched_thread_join(pthread_t thread);
int sched_poll(struct pollfd *fds, unsigned long n, int ms);
int sched_epoll_wait(int epoll, struct epoll_event *events, int room, int ms);
void *sched_thread_pointer(void);
int sched_once(pthread_once_t *once, void (*init)(void));
int sched_key_create(pthread_key_t *key, void (*end)(void *));
int sched_setspecific(pthread_key_t key, const void *value);

#endif
