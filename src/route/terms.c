/* SPDX-License-Identifier: BSD-2-Clause */
/* What options say of each host: lists in the order of the connection string. */
#include <string.h>

#include "base/text.h"
#include "route/router.h"

/* The i-th of comma-separated pieces; empty where there are fewer. */
static const char *piece(const char *list, uint32_t i, size_t *length)
{
	for (; i && *list; i--) {
		list += strcspn(list, ",");
		list += *list == ',';
	}
	*length = strcspn(list, ",");
	return list;
}

static uint32_t pieces(const char *list)
{
	uint32_t n = *list != '\0';

	for (; *list; list++)
		n += *list == ',' && list[1];
	return n;
}

static weir_status take_zone(const char *list, uint32_t i, const char *host, struct wi_terms *terms,
                             weir_error *error)
{
	size_t length;
	const char *at = piece(list, i, &length);

	if (length >= sizeof(terms->zone))
		return wi_fail(error, WEIR_INVALID, "option host_zones: the zone of %s is too long",
		               host);
	memcpy(terms->zone, at, length);
	return WEIR_OK;
}

static weir_status take_weight(const char *list, uint32_t i, const char *host,
                               struct wi_terms *terms, weir_error *error)
{
	size_t length;
	const char *at = piece(list, i, &length);
	uint32_t weight = 0;

	if (!length)
		return WEIR_OK;
	for (size_t k = 0; k < length; k++) {
		if (at[k] < '0' || at[k] > '9' || weight > WI_WEIGHT_MAX)
			weight = WI_WEIGHT_MAX + 1;
		else
			weight = weight * 10 + (uint32_t)(at[k] - '0');
	}
	if (weight > WI_WEIGHT_MAX)
		return wi_fail(error, WEIR_INVALID,
		               "option host_weights: the weight of %s is no number from 0 to %d",
		               host, WI_WEIGHT_MAX);
	terms->weight = weight;
	return WEIR_OK;
}

weir_status wi_terms_fit(const weir_options *o, uint32_t n_hosts, weir_error *error)
{
	if (pieces(o->host_zones) > n_hosts)
		return wi_fail(error, WEIR_INVALID,
		               "option host_zones names more zones than there are hosts (%u)",
		               n_hosts);
	if (pieces(o->host_weights) > n_hosts)
		return wi_fail(error, WEIR_INVALID,
		               "option host_weights names more weights than there are hosts (%u)",
		               n_hosts);
	return WEIR_OK;
}

weir_status wi_terms_of_options(const weir_options *o, uint32_t i, const char *host,
                                struct wi_terms *terms, weir_error *error)
{
	weir_status st;

	*terms = (struct wi_terms){.weight = WI_WEIGHT_USUAL};
	st = take_zone(o->host_zones, i, host, terms, error);
	return st == WEIR_OK ? take_weight(o->host_weights, i, host, terms, error) : st;
}
