/* What the sender and the receiver have in common: an OpenPGM socket in one group, opened by the public OpenPGM 5.3 API.
 *
 * The UDP ports for unicast and multicast are the same, as an OpenPGM source listens on the multicast port only. MTUs are chosen
 * for libpgm 5.3.128 of Debian, see pgm_tx.c. */
#ifndef PEER_H
#define PEER_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <pgm/pgm.h>

static void die(const char *what, pgm_error_t *e)
{
	fprintf(stderr, "%s: %s\n", what, e && e->message ? e->message : strerror(errno));
	exit(1);
}

#define SET(sock, opt, val) do { \
	if (!pgm_setsockopt(sock, IPPROTO_PGM, opt, &(val), sizeof(val))) die("setsockopt " #opt, NULL); \
} while (0)

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* number reads a decimal argument. */
static long number(const char *s)
{
	char *end;
	long v = strtol(s, &end, 10);
	if (end == s || *end) {
		fprintf(stderr, "not a number: \"%s\"\n", s);
		exit(2);
	}
	return v;
}

/* peer_open makes a socket for network ("10.77.0.1;239.192.0.9": address of the interface, group) that is not yet bound. */
static pgm_sock_t *peer_open(const char *network, int port, int mtu, struct pgm_addrinfo_t **res)
{
	pgm_error_t *e = NULL;
	pgm_sock_t *sock = NULL;
	if (!pgm_init(&e)) die("pgm_init", e);
	if (!pgm_getaddrinfo(network, NULL, res, &e)) die("pgm_getaddrinfo", e);
	int family = (*res)->ai_send_addrs[0].gsr_group.ss_family;
	if (!pgm_socket(&sock, family, SOCK_SEQPACKET, IPPROTO_UDP, &e)) die("pgm_socket", e);
	int buffer = 4 << 20; /* the system may give less */
	pgm_setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
	SET(sock, PGM_UDP_ENCAP_UCAST_PORT, port);
	SET(sock, PGM_UDP_ENCAP_MCAST_PORT, port);
	SET(sock, PGM_MTU, mtu);
	return sock;
}

/* peer_connect binds sock, joins the group of res and frees it. The data-source port is 0 at a receiver. */
static void peer_connect(pgm_sock_t *sock, struct pgm_addrinfo_t *res, int data_destination, int data_source, const char *name)
{
	pgm_error_t *e = NULL;
	struct pgm_sockaddr_t addr;
	struct pgm_interface_req_t req;
	struct pgm_group_source_req *group = &res->ai_send_addrs[0];
	memset(&addr, 0, sizeof addr);
	memset(&req, 0, sizeof req);
	addr.sa_port = data_destination;
	addr.sa_addr.sport = data_source;
	if (!pgm_gsi_create_from_string(&addr.sa_addr.gsi, name, -1)) die("pgm_gsi_create_from_string", NULL);
	req.ir_interface = group->gsr_interface;
	if (group->gsr_group.ss_family == AF_INET6)
		req.ir_scope_id = ((struct sockaddr_in6 *)&group->gsr_group)->sin6_scope_id;
	if (!pgm_bind3(sock, &addr, sizeof addr, &req, sizeof req, &req, sizeof req, &e)) die("pgm_bind3", e);
	for (unsigned i = 0; i < res->ai_recv_addrs_len; i++)
		SET(sock, PGM_JOIN_GROUP, res->ai_recv_addrs[i]);
	SET(sock, PGM_SEND_GROUP, res->ai_send_addrs[0]);
	pgm_freeaddrinfo(res);
	int on = 1, loop = 0, hops = 1;
	SET(sock, PGM_NOBLOCK, on);
	SET(sock, PGM_MULTICAST_LOOP, loop);
	SET(sock, PGM_MULTICAST_HOPS, hops);
	if (!pgm_connect(sock, &e)) die("pgm_connect", e);
	puts("ready");
	fflush(stdout);
}

#endif
