/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weir: a lock-free pool of PostgreSQL connections, with a router that splits reads from writes.
 *
 *	weir_router *r;
 *	weir_error e;
 *	if (weir_router_open("postgresql://app@h1,h2,h3/shop", NULL, &r, &e) != WEIR_OK) ...
 *	{
 *		WEIR_SCOPED weir_conn *c = NULL;
 *		if (weir_checkout(r, WEIR_READ, &c, &e) == WEIR_OK)
 *			PGresult *rows = PQexec(weir_pg(c), "SELECT ...");
 *	}
 *	weir_router_close(&r, 5000);
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/alert.h>
#include <weir/alloc.h>
#include <weir/classify.h>
#include <weir/conn.h>
#include <weir/event.h>
#include <weir/exec.h>
#include <weir/export.h>
#include <weir/health.h>
#include <weir/hosts.h>
#include <weir/options.h>
#include <weir/pool.h>
#include <weir/report.h>
#include <weir/router.h>
#include <weir/row.h>
#include <weir/session.h>
#include <weir/sqlstate.h>
#include <weir/stats.h>
#include <weir/status.h>
#include <weir/token.h>
#include <weir/tx.h>
#include <weir/version.h>
#include <weir/view.h>

#endif
