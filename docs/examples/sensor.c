/* Sends float32 samples of a sensor from standard input to Potoo, and prints the answers.
 *
 *   cc -O2 -o sensor sensor.c && ./sensor 127.0.0.1 7700 pump-3 1 "$TOKEN" < samples.f32
 *
 * For little-endian machines. It keeps no samples: one that must lose none on a restart stores
 * what is above `safe`, and says HELLO again with the same epoch. */
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HELLO = 1, DATA, ACK, RESULT, ERROR, BYE, SAMPLES = 256, MOST_CHANNELS = 64 };
static int server;
static uint64_t safe, sent;       /* sequence numbers of samples */
static uint32_t credit;           /* bytes of samples that may be under way */

static void fail(const char *why) { fprintf(stderr, "sensor: %s\n", why); exit(1); }

static uint32_t crc32c(uint32_t crc, const void *data, size_t size) {
    const uint8_t *byte = data;
    for (crc = ~crc; size--;)
        for (int bit = (crc ^= *byte++, 0); bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1u));
    return ~crc;
}

static void put(uint8_t type, const void *payload, uint32_t size) {
    static uint8_t frame[12 + 24 + 4 * SAMPLES * MOST_CHANNELS] = {'P', 'T', 1};
    frame[3] = type, memcpy(frame + 4, &size, 4), memcpy(frame + 12, payload, size);
    uint32_t crc = crc32c(crc32c(0, frame, 8), payload, size);
    memcpy(frame + 8, &crc, 4);
    for (ssize_t at = 0, n; at < 12 + (ssize_t)size; at += n)
        if ((n = send(server, frame + at, 12 + size - at, MSG_NOSIGNAL)) <= 0) fail("connection lost");
}

static int get(void) { /* takes one frame; returns its type, or 0 at the end */
    static char body[65536 + 1];
    uint8_t head[12];
    uint32_t size, crc;
    if (recv(server, head, 12, MSG_WAITALL) != 12) return 0;
    memcpy(&size, head + 4, 4), memcpy(&crc, head + 8, 4);
    if (memcmp(head, "PT\1", 3) || size > 65536) fail("not the protocol");
    if (size && recv(server, body, size, MSG_WAITALL) != (ssize_t)size) return 0;
    if (crc != crc32c(crc32c(0, head, 8), body, size)) fail("wrong checksum");
    body[size] = 0;
    if (head[3] == ACK) memcpy(&safe, body, 8), memcpy(&credit, body + 8, 4);
    else if (head[3] == RESULT) puts(body + 8);
    else fprintf(stderr, "sensor: %s\n", body); /* ERROR, BYE */
    return head[3];
}

int main(int count, char **given) {
    uint8_t hello[17 + 63 + 2 + 8192] = {0}, data[24 + 4 * SAMPLES * MOST_CHANNELS] = {0};
    struct addrinfo *to, hints = {.ai_socktype = SOCK_STREAM};
    if (count != 6) fail("usage: sensor HOST PORT NAME CHANNELS TOKEN");
    size_t row = 4 * strtoul(given[4], 0, 10), n, name = strlen(given[3]), token = strlen(given[5]);
    if (row < 4 || row > 4 * MOST_CHANNELS || name > 63 || token > 8192) fail("out of range");
    if (getaddrinfo(given[1], given[2], &hints, &to)) fail("no such host");
    server = socket(to->ai_family, SOCK_STREAM, 0);
    if (connect(server, to->ai_addr, to->ai_addrlen)) fail("cannot connect");
    uint64_t epoch = (uint64_t)time(0) * 1000; /* a new life, which begins at sample 0 */
    memcpy(hello, &epoch, 8), hello[16] = name, memcpy(hello + 17, given[3], name);
    memcpy(hello + 17 + name, &token, 2), memcpy(hello + 19 + name, given[5], token);
    put(HELLO, hello, 19 + name + token);
    if (get() != ACK) fail("refused");
    while ((n = fread(data + 24, row, SAMPLES, stdin))) {
        while ((sent + n - safe) * row > credit || recv(server, hello, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
            if (!get()) fail("connection lost");
        memcpy(data, &sent, 8), memcpy(data + 16, &(uint32_t){n}, 4); /* no time, no packing */
        put(DATA, data, 24 + n * row), sent += n;
    }
    put(BYE, "", 0);
    while (get()) continue;
    fprintf(stderr, "sensor: %llu of %llu samples are safe\n", (unsigned long long)safe,
            (unsigned long long)sent);
    return 0;
}
