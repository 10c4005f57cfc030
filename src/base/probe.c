/* SPDX-License-Identifier: BSD-2-Clause */
/* The probes off the warm path: functions, so that each stands in one place. */
#define WI_PROBE_HAS_NOP
#include "base/probe.h"

#ifdef WEIR_USDT

void wi_probe_checkout_slow(const void *handle)
{
	STAP_PROBE1(weir, checkout, handle);
}

void wi_probe_grant(const char *host, int64_t waited_ns)
{
	STAP_PROBE2(weir, grant, host, waited_ns);
}

void wi_probe_timeout(const char *host, int64_t waited_ns)
{
	STAP_PROBE2(weir, timeout, host, waited_ns);
}

void wi_probe_connect(const char *host, int64_t took_ns, int fault)
{
	STAP_PROBE3(weir, connect, host, took_ns, fault);
}

void wi_probe_close(const char *host, int reason, const char *text)
{
	STAP_PROBE3(weir, close, host, reason, text);
}

void wi_probe_query(const char *host, int64_t took_ns, int status, const char *tag)
{
	STAP_PROBE4(weir, query, host, took_ns, status, tag);
}

#endif
