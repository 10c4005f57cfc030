/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Static probes for tracers (bpftrace, perf, systemtap, gdb), as systemtap's sys/sdt.h makes them:
 * a note in the file says at which instruction a probe stands and where its arguments are; nobody
 * who does not trace ever notices. docs/tracing.md lists them.
 *
 * A probe usually has an instruction of its own, a nop. Those of the warm path have none: the note
 * names an instruction that is there anyway, and arguments are what is in registers anyway, so a
 * warm checkout is the same to the byte (bench.instructions). Such a probe has to stand where no
 * jump leads to the next instruction: before a store that only its own way makes.
 *
 * Without sys/sdt.h, or with the CMake option WEIR_USDT off, all of it is nothing.
 */
#ifndef WI_BASE_PROBE_H
#define WI_BASE_PROBE_H

#include <stdint.h>

#ifdef WEIR_USDT

#include <sys/sdt.h>
#ifndef WI_PROBE_HAS_NOP /* probe.c's do */
#undef _SDT_NOP
#define _SDT_NOP
#endif

/* A connection, by its handle, is its caller's now; and is given back. */
#define wi_probe_checkout(handle) STAP_PROBE1(weir, checkout, handle)
#define wi_probe_checkin(handle) STAP_PROBE1(weir, checkin, handle)

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

#define wi_probe_checkout(handle) ((void)0)
#define wi_probe_checkin(handle) ((void)0)
#define wi_probe_checkout_slow(handle) ((void)0)
#define wi_probe_grant(host, waited_ns) ((void)0)
#define wi_probe_timeout(host, waited_ns) ((void)0)
#define wi_probe_connect(host, took_ns, fault) ((void)0)
#define wi_probe_close(host, reason, text) ((void)0)
#define wi_probe_query(host, took_ns, status, tag) ((void)0)

#endif

#endif
