/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Included first into the library's sources when the scheduler's tests compile them: what they ask
 * of POSIX threads, and where they would sleep on descriptors, is answered by the modelled world,
 * in which threads are fibres.
 */
#ifndef SCHED_POSIX_MODEL_H
#define SCHED_POSIX_MODEL_H

#include <pthread.h>

#include "sched/world.h"

#define __builtin_thread_pointer() sched_thread_pointer()
#define pthread_once(once, init) sched_once((once), (init))
#define pthread_key_create(key, end) sched_key_create((key), (end))
#define pthread_setspecific(key, value) sched_setspecific((key), (value))

#ifdef SCHED_POOL /* the pool's sources besides */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>

#define pthread_create(thread, attr, run, arg) sched_thread_create((thread), (run), (arg))
#define pthread_join(thread, result) sched_thread_join(thread)
#define pthread_detach(thread) ((void)(thread))
#define pthread_setname_np(thread, name) ((void)(thread))
#define pthread_sigmask(how, set, before) ((void)(set), (void)(before))
#define epoll_wait(epoll, events, room, ms) sched_epoll_wait((epoll), (events), (room), (ms))
#define poll(fds, n, ms) sched_poll((fds), (n), (ms))
#endif

#endif
