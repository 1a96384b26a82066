/* Sends a file of float32 samples to Potoo, prints the answers, and goes on where it was when it is
 * started again.
 *
 *   cc -O2 -o sensor_file sensor_file.c && ./sensor_file 127.0.0.1 7700 pump-3 1 EPOCH samples.f32
 *
 * For little-endian machines. The token is in POTOO_TOKEN. EPOCH is a number that belongs to the
 * file for ever: a new file has a higher one. */
#define _POSIX_C_SOURCE 200809L
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HELLO = 1, DATA, ACK, RESULT, ERROR, BYE, PART = 32768 };
static int sock;
static uint8_t in[12 + 65536], out[12 + 65536];

static void die(const char *why) { fprintf(stderr, "sensor_file: %s\n", why); exit(1); }

static uint32_t crc32c(const uint8_t *frame, size_t length) {  /* of all bytes but 8 to 11 */
    uint32_t crc = ~0u;
    for (size_t i = 0; i < length; i++) {
        if (i >= 8 && i < 12) continue;
        crc ^= frame[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static void send_frame(uint8_t type, uint32_t length) {  /* the payload is in out + 12 */
    memcpy(out, (uint8_t[]){0x50, 0x54, 1, type}, 4);
    memcpy(out + 4, &length, 4);
    uint32_t crc = crc32c(out, 12 + length);
    memcpy(out + 8, &crc, 4);
    for (size_t done = 0; done < 12 + length;) {
        ssize_t n = write(sock, out + done, 12 + length - done);
        if (n <= 0) die("the connection ended");
        done += (size_t)n;
    }
}

static int receive(uint64_t *safe, uint32_t *credit) {  /* returns the type; 0: the end */
    uint32_t length = 0, crc;
    for (size_t done = 0; done < 12 + length;) {
        ssize_t n = read(sock, in + done, (done < 12 ? 12 : 12 + length) - done);
        if (n <= 0) return 0;
        done += (size_t)n;
        if (done == 12) memcpy(&length, in + 4, 4);
        if (length > 65535) die("a frame is too long");
    }
    memcpy(&crc, in + 8, 4);
    if (crc != crc32c(in, 12 + length)) die("a checksum is wrong");
    in[12 + length] = 0;
    if (in[3] == ACK) { memcpy(safe, in + 12, 8); memcpy(credit, in + 20, 4); }
    if (in[3] == RESULT) puts((char *)in + 20);
    if (in[3] == ERROR) fprintf(stderr, "sensor_file: %s\n", (char *)in + 12);
    return in[3];
}

int main(int count, char **arg) {
    if (count != 7) die("HOST PORT NAME CHANNELS EPOCH FILE");
    struct addrinfo *to, hints = {.ai_socktype = SOCK_STREAM};
    if (getaddrinfo(arg[1], arg[2], &hints, &to)) die("unknown host");
    sock = socket(to->ai_family, SOCK_STREAM, 0);
    if (connect(sock, to->ai_addr, to->ai_addrlen)) die("no connection");
    FILE *file = fopen(arg[6], "rb");
    if (!file) die("no file");
    uint64_t epoch = strtoull(arg[5], NULL, 10), at = 0, safe = 0, sample = 4 * strtoull(arg[4], NULL, 10);
    uint32_t credit = 0;
    const char *token = getenv("POTOO_TOKEN") ? getenv("POTOO_TOKEN") : "";
    uint16_t token_length = (uint16_t)strlen(token);
    uint8_t name_length = (uint8_t)strlen(arg[3]), *end = out + 12;
    memcpy(end, &epoch, 8), memcpy(end += 8, &at, 8), *(end += 8) = name_length;
    memcpy(end += 1, arg[3], name_length), memcpy(end += name_length, &token_length, 2);
    memcpy(end += 2, token, token_length);
    send_frame(HELLO, (uint32_t)(end + token_length - out - 12));
    if (receive(&safe, &credit) != ACK) die("refused");
    at = safe;
    for (int at_end = 0; !at_end;) {
        uint64_t limit = safe + credit / sample, part = at < limit ? limit - at : 0;
        if (part > PART / sample) part = PART / sample;
        struct pollfd ready = {.fd = sock, .events = POLLIN};
        if (poll(&ready, 1, part ? 0 : -1) > 0 && !receive(&safe, &credit)) die("the connection ended");
        if (!part) continue;
        fseeko(file, (off_t)(at * sample), SEEK_SET);
        uint32_t n = (uint32_t)fread(out + 36, sample, part, file);
        at_end = n == 0;
        memcpy(out + 12, &at, 8), memset(out + 20, 0, 16), memcpy(out + 28, &n, 4);
        if (n) send_frame(DATA, (uint32_t)(24 + n * sample));
        at += n;
    }
    memcpy(out + 12, "{\"reason\":\"sent\"}", 17);
    send_frame(BYE, 17);
    while (receive(&safe, &credit)) {}
    fprintf(stderr, "sensor_file: %llu samples sent, safe below %llu\n",
            (unsigned long long)at, (unsigned long long)safe);
    return 0;
}
