/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Static probes for tracers (bpftrace, perf, systemtap, gdb), as systemtap's sys/sdt.h makes them:
 * a note in the file says at which instruction a probe stands and where its arguments are; nobody
 * who does not trace ever notices. docs/tracing.md lists them.
 *
 * A probe usually has an instruction of its own, a nop. Those of the warm path have none: the note
 * names the store to the caller's variable, which is there anyway, and the argument is what is in a
 * register anyway, so that a warm checkout executes what it did (bench.instructions). The store is
 * written out together with the note: a note alone would stand at whatever comes next, and a
 * compiler that merges the ends of two ways lets one of them run into the other's probe (clang 14
 * does).
 *
 * Without sys/sdt.h, or with the CMake option WEIR_USDT off, all of it is nothing.
 */
#ifndef WI_BASE_PROBE_H
#define WI_BASE_PROBE_H

#include <stdint.h>

#ifdef WEIR_USDT

#include <sys/sdt.h>

#if defined(__x86_64__) || defined(__aarch64__)
#ifndef WI_PROBE_HAS_NOP /* probe.c's do */
#undef _SDT_NOP
#define _SDT_NOP
#endif
#ifdef __x86_64__
#define WI_PROBE_STORE "movq %[what], %[to]\n"
#define WI_PROBE_CLEAR "movq $0, %[to]\n"
#else
#define WI_PROBE_STORE "str %[what], %[to]\n"
#define WI_PROBE_CLEAR "str xzr, %[to]\n"
#endif
/* the argument, as a text in the note */
/* clang-format off */
#define WI_PROBE_ARGUMENT 8@%[what]
/* clang-format on */
#define WI_PROBE_AT(name, instruction, variable, handle)                                           \
	__asm__ __volatile__(STAP_PROBE_ASM(weir, name, WI_PROBE_ARGUMENT) instruction             \
	                     : [to] "=m"(*(variable))                                              \
	                     : [what] "r"(handle))
/* *variable = handle: a connection is its caller's now. */
#define wi_probe_checkout(variable, handle) WI_PROBE_AT(checkout, WI_PROBE_STORE, variable, handle)
/* *variable = NULL: the connection with this handle is given back. */
#define wi_probe_checkin(variable, handle) WI_PROBE_AT(checkin, WI_PROBE_CLEAR, variable, handle)
#else
#define wi_probe_checkout(variable, handle)                                                        \
	do {                                                                                       \
		STAP_PROBE1(weir, checkout, handle);                                               \
		*(variable) = (handle);                                                            \
	} while (0)
#define wi_probe_checkin(variable, handle)                                                         \
	do {                                                                                       \
		STAP_PROBE1(weir, checkin, handle);                                                \
		*(variable) = NULL;                                                                \
	} while (0)
#endif

/* The same off the warm path. */
void wi_probe_checkout_slow(const void *handle);

/* A caller who waited was given a connection; had to go without. */
void wi_probe_grant(const char *host, int64_t waited_ns);
void wi_probe_timeout(const char *host, int64_t waited_ns);

/* A connect has ended: fault 0: it is ready, else what it failed of (enum wi_fault). */
void wi_probe_connect(const char *host, int64_t took_ns, int fault);

/* A connection is closed, for this reason. */
void wi_probe_close(const char *host, int reason, const char *text);

/* A statement of weir's helpers has ended. tag: "" where there is none. */
void wi_probe_query(const char *host, int64_t took_ns, int status, const char *tag);

#else

#define wi_probe_checkout(variable, handle) ((void)(*(variable) = (handle)))
#define wi_probe_checkin(variable, handle) ((void)(*(variable) = NULL))
#define wi_probe_checkout_slow(handle) ((void)0)
#define wi_probe_grant(host, waited_ns) ((void)0)
#define wi_probe_timeout(host, waited_ns) ((void)0)
#define wi_probe_connect(host, took_ns, fault) ((void)0)
#define wi_probe_close(host, reason, text) ((void)0)
#define wi_probe_query(host, took_ns, status, tag) ((void)0)

#endif

#endif
