/* SPDX-License-Identifier: BSD-2-Clause */
/* What a run of the checker was like, for people. */
#ifndef WEIR_CHECK_SUMMARY_H
#define WEIR_CHECK_SUMMARY_H

#include "check/rules.h"
#include "check/stage.h"

/* Counts of operations, of deeds, how long no write was acknowledged, and each rule's. */
void check_summarise(const struct stage *stage, const struct findings *findings);

#endif
