/* The loops that PyTorch and NumPy can only spell in many passes over memory.

   Plain C without Python's headers: core/native.py calls it by ctypes, and every caller has a path without it. Pointers
   are to contiguous arrays that the caller has allocated; nothing is kept, nothing is allocated, no state.

   Built with -O3 alone: no -ffast-math, which would flush subnormal numbers in the whole process. Where a sum is to be
   vectorised it is spelt in lanes, so that the order of additions, and the result, does not depend on the compiler. */

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

/* One copy a generation of processors, chosen when the library is loaded. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define FOR_EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOR_EACH_PROCESSOR
#endif
#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16, BLOCK = 32 * LANES };

INLINE int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE float float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* exp(x) for x <= 0, to 2e-7 relative; 0 below -87. NaN stays NaN. Cephes' polynomial on |r| <= log(2) / 2. */
INLINE float exponential(float x) {
    float clamped = x < -87.0f ? -87.0f : x;
    float shifted = clamped * 1.44269504088896341f + 12582912.0f; /* rounded to a whole number, kept in the low bits */
    float whole = shifted - 12582912.0f;
    float r = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float tail = 1.9875691500e-4f;
    tail = tail * r + 1.3981999507e-3f;
    tail = tail * r + 8.3334519073e-3f;
    tail = tail * r + 4.1665795894e-2f;
    tail = tail * r + 1.6666665459e-1f;
    tail = tail * r + 5.0000001201e-1f;
    float power = float_of((int32_t)((uint32_t)(bits_of(shifted) - 0x4B400000 + 127) << 23));
    float value = (tail * r * r + r + 1.0f) * power;
    return x < -87.0f ? 0.0f : value;
}

/* The largest of z, at least -FLT_MAX; NaN if there is one. By whole numbers in the same order, whose maximum compilers
   vectorise. */
INLINE float largest(const float *z, int64_t n) {
    int32_t top = bits_of(-FLT_MAX) ^ INT32_MAX;
    for (int64_t i = 0; i < n; i++) {
        int32_t bits = bits_of(z[i]), ordered = bits ^ ((bits >> 31) & INT32_MAX);
        top = ordered > top ? ordered : top;
    }
    return float_of(top ^ ((top >> 31) & INT32_MAX));
}

/* z = exp(z - peak); returns the sum, in float32 within blocks and in float64 over them. */
INLINE double exponentials(float *z, int64_t n, float peak) {
    double total = 0.0;
    float sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; l++) {
            z[i + l] = exponential(z[i + l] - peak);
            sums[l] += z[i + l];
        }
        if (i % BLOCK == BLOCK - LANES)
            for (int l = 0; l < LANES; l++) total += sums[l], sums[l] = 0.0f;
    }
    float rest[LANES];
    for (int l = 0; l < LANES; l++) rest[l] = i + l < n ? z[i + l] : -INFINITY;
    for (int l = 0; l < LANES; l++) {
        rest[l] = exponential(rest[l] - peak);
        sums[l] += rest[l];
    }
    memcpy(z + i, rest, sizeof(float) * (size_t)(n - i));
    for (int l = 0; l < LANES; l++) total += sums[l];
    return total;
}

/* The sum of exp(scale (z - peak)), as exponentials does it, but z is left alone. */
INLINE double sum_of_exponentials(const float *z, int64_t n, float peak, float scale) {
    double total = 0.0;
    float sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int l = 0; l < LANES; l++) sums[l] += exponential((z[i + l] - peak) * scale);
        if (i % BLOCK == BLOCK - LANES)
            for (int l = 0; l < LANES; l++) total += sums[l], sums[l] = 0.0f;
    }
    float rest[LANES];
    for (int l = 0; l < LANES; l++) rest[l] = i + l < n ? z[i + l] : -INFINITY;
    for (int l = 0; l < LANES; l++) sums[l] += exponential((rest[l] - peak) * scale);
    for (int l = 0; l < LANES; l++) total += sums[l];
    return total;
}

/* The largest probability of softmax(scale z) of every row of logits (n, k), and its class, the first among equals:
   score = 1 / (1 + sum of exp(scale (z_j - peak)) over the others), so that no digit is lost near 1. Logits are finite,
   scale is positive. */
FOR_EACH_PROCESSOR
void surefoot_top(const float *logits, int64_t n, int64_t k, float scale, double *score, int64_t *top) {
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * k;
        float peak = largest(row, k);
        int64_t at = 0;
        while (at < k - 1 && row[at] != peak) at++;
        double others = sum_of_exponentials(row, at, peak, scale);
        others += sum_of_exponentials(row + at + 1, k - at - 1, peak, scale);
        score[i] = 1.0 / (1.0 + others);
        top[i] = at;
    }
}

/* Focal loss with gamma in steps of log p, and its gradient but for the upstream factor, for every row of logits (n, k)
   and its target class y. Step j, up to edges[j], has gammas[j], and offsets[j] to add to the loss; edges ends with inf.
     mass[j] = exp(z_j - peak of the others), mass[y] = -(their sum S); mass may be logits
     value = (1 - p)^gamma l + offset with l = -log p
     scale = slope (1 - p) / S, so that the gradient is scale * mass; slope = (1 - p)^gamma (1 + gamma p l / (1 - p)).
   1 - p comes from S, never from a subtraction, and the log-odds are at most 690: no digit is lost however confident a
   row is. Returns n, or the first row whose target is no class. */
FOR_EACH_PROCESSOR
int64_t surefoot_focal(const float *logits, const int64_t *target, int64_t n, int64_t k, const double *edges,
                       const double *gammas, const double *offsets, float *mass, float *value, float *scale) {
    for (int64_t i = 0; i < n; i++) {
        int64_t y = target[i], step = 0;
        if (y < 0 || y >= k) return i;
        float *row = mass + i * k;
        double own = logits[i * k + y];
        if (mass != logits) memcpy(row, logits + i * k, sizeof(float) * (size_t)k);
        row[y] = -INFINITY;
        double peak = largest(row, k);
        double others = exponentials(row, k, (float)peak);
        if (others < FLT_MIN) others = FLT_MIN; /* all others are -inf, or as good as that */
        row[y] = (float)-others;
        double odds = own - peak - log(others);
        if (odds > 690.0) odds = 690.0;
        double least = exp(-fabs(odds)), rest = log1p(least);
        double loss = (odds < 0.0 ? -odds : 0.0) + rest, log_u = (odds > 0.0 ? -odds : 0.0) - rest;
        double u = (odds > 0.0 ? least : 1.0) / (1.0 + least), p_over_u = odds > 0.0 ? 1.0 / least : least;
        while (-loss >= edges[step]) step++;
        double gamma = gammas[step], damping = gamma == 0.0 ? 1.0 : exp(gamma * log_u);
        value[i] = (float)(damping * loss + offsets[step]);
        scale[i] = (float)(damping * (gamma == 0.0 ? 1.0 : 1.0 + gamma * p_over_u * loss) * u / others);
    }
    return n;
}

/* Rows, hits and sum of scores in each bin; see surefoot_tally_f32. Four sets of sums, so that rows which follow each
   other in one bin need not wait for each other. */
#define TALLY(NAME, REAL)                                                                                              \
    void NAME(const REAL *score, const uint8_t *hit, int64_t n, const REAL *edges, int64_t bins, double *sums) {       \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            REAL s = score[i];                                                                                         \
            int64_t j = (int64_t)(s * (REAL)bins);                                                                     \
            j += s > edges[j]; /* j is the bin below or the bin of s, but for rounding */                              \
            j -= j > 0 && s <= edges[j - 1];                                                                           \
            double *cell = sums + 3 * ((i & 3) * (bins + 1) + j);                                                      \
            cell[0] += 1.0;                                                                                            \
            cell[1] += hit[i];                                                                                         \
            cell[2] += s;                                                                                              \
        }                                                                                                              \
    }

/* sums is (4, bins + 1, 3), to be added up over its first axis; scores in [0, 1]; bin j is (edges[j - 1], edges[j]] and
   bin 0 exactly 0. edges has bins + 1 entries. */
TALLY(surefoot_tally_f32, float)
TALLY(surefoot_tally_f64, double)
