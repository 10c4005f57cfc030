/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Positions in the write-ahead log: their text, and the position that stands for "all of this has
 * been replayed".
 */
#ifndef WI_ROUTE_LSN_H
#define WI_ROUTE_LSN_H

#include <stdbool.h>
#include <stdint.h>

/* Reads what the server prints for a pg_lsn, "16/B374D848". false: not a position. */
bool wi_lsn_parse(const char *text, uint64_t *lsn);

/* Reads an unsigned number; false: not a number, or too large. base 10 or 16. */
bool wi_number_parse(const char *text, int base, uint64_t *number);

/*
 * The insert position points behind a page's or segment's header when the last record ended exactly
 * at the boundary, and a replica's replayed position stays before the header until there is more:
 * taken as it is, a replica that has everything would never reach it. Sizes of 0 mean PostgreSQL's
 * defaults.
 */
uint64_t wi_lsn_normalise(uint64_t lsn, uint64_t block_bytes, uint64_t segment_bytes);

#endif
