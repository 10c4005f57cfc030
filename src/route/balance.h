/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the eligible hosts a read goes to. Each policy is a small function over the eligible
 * ones only: to walk on from one that is not would give its neighbour a double share. None of them
 * writes to anything that threads share.
 */
#ifndef WI_ROUTE_BALANCE_H
#define WI_ROUTE_BALANCE_H

#include <stdint.h>

#include <weir/options.h>

#include "core/seat.h"

struct wi_host;

/* The place of the chosen one among n > 0 hosts. seat is the calling thread's. */
uint32_t wi_balance_pick(weir_balance how, struct wi_host *const *hosts, uint32_t n,
                         struct wi_seat *seat);

#endif
