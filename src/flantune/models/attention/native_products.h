// Small matrix products with float32 sums, and functions that pack their operands.
//
// All products are A · B with A by rows and B in "words" of 32 bits: a float, or two bfloat16 that are below each other
// in a column, multiplied and added by one instruction.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int LANES = 16, WIDEST = 4;
#elif defined(__AVX__)
constexpr int LANES = 8, WIDEST = 2;
#else
constexpr int LANES = 4, WIDEST = 4;
#endif
constexpr int ROWS = 6;           // ROWS · WIDEST sums and a few operands fill the registers
constexpr float HIDDEN = -1e30f;  // a score whose weight is exactly 0

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef float FloatsAnywhere __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef uint32_t Word __attribute__((aligned(2), may_alias));

inline Floats load(const float* from) { return *reinterpret_cast<const FloatsAnywhere*>(from); }
inline void store(float* to, Floats x) { *reinterpret_cast<FloatsAnywhere*>(to) = x; }
inline Floats all(float x) { return Floats{} + x; }
inline int64_t up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }
inline int64_t down(int64_t n, int64_t step) { return n / step * step; }

inline Ints counting() {
  Ints found;
  for (int lane = 0; lane < LANES; lane++) found[lane] = lane;
  return found;
}

// x where first <= place < last, `otherwise` elsewhere; the first lane is at `place`.
inline Floats within(Floats x, float otherwise, int64_t place, int64_t first, int64_t last) {
  const Ints places = counting() + static_cast<int32_t>(place);
  const Ints seen = (places >= static_cast<int32_t>(first)) & (places < static_cast<int32_t>(last));
  return seen ? x : all(otherwise);
}

// 2 to the power of x for x <= 0 (relative error 1e-7); exactly 0 below -126, NaN where x is NaN.
inline Floats power(Floats x) {
  const Floats magic = all(12582912.0f);  // 1.5 · 2^23: the sum's last bits are x rounded
  const Floats rounded = x + magic;
  const Floats rest = x - (rounded - magic);
  Floats p = all(1.327647012e-3f);
  p = p * rest + 9.675541319e-3f;
  p = p * rest + 5.550713279e-2f;
  p = p * rest + 2.402211972e-1f;
  p = p * rest + 6.931469671e-1f;
  p = p * rest + 1.000000072f;
  const Floats found = (Floats)((Bits)p + ((Bits)rounded << 23));
  return x < all(-126.0f) ? Floats{} : found;
}

inline float sum_of(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

inline float greatest_of(Floats x) {
  float lanes[LANES];
  store(lanes, x);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; lane++) lanes[lane] = std::max(lanes[lane], lanes[lane + half]);
  return lanes[0];
}

// float32: a word is an element.
struct Single {
  using Element = float;
  static constexpr int PER_WORD = 1;
  static Floats multiply_add(Floats sum, uint32_t a, Floats b) {
    float x;
    memcpy(&x, &a, 4);
    return sum + b * x;
  }
  static Floats read(const Element* from) { return load(from); }
  static void write(Element* to, Floats x) { store(to, x); }
  static void write_words(uint32_t* to, Floats first, Floats) { store(reinterpret_cast<float*>(to), first); }
  static void pair(uint32_t* to, const Element* first, const Element*) { memcpy(to, first, 4 * LANES); }
};

#if defined(__AVX512BF16__)
// bfloat16: a word is two elements.
struct Half {
  using Element = uint16_t;
  static constexpr int PER_WORD = 2;
  static Floats multiply_add(Floats sum, uint32_t a, Floats b) {
    return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)_mm512_set1_epi32(static_cast<int>(a)), (__m512bh)b);
  }
  static __m512i widened(const Element* from) {
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
  static Floats read(const Element* from) { return (Floats)_mm512_slli_epi32(widened(from), 16); }
  static void write(Element* to, Floats x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh((__m512)x));
  }
  static void write_words(uint32_t* to, Floats first, Floats second) {
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)first));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)second));
    _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
  }
  static void pair(uint32_t* to, const Element* first, const Element* second) {
    const __m512i high = second ? _mm512_slli_epi32(widened(second), 16) : _mm512_setzero_si512();
    _mm512_storeu_si512(to, _mm512_or_si512(widened(first), high));
  }
};
#endif

// C = A · B, or C += A · B if `adds`, for a tile of C that fits in registers.
template <class Kind, int M, int V>
inline void tile(const void* a, int64_t a_step, const uint32_t* b, int64_t b_step, int64_t words, float* c,
                 int64_t c_step, bool adds) {
  Floats sums[M][V];
  for (int m = 0; m < M; m++)
    for (int v = 0; v < V; v++) sums[m][v] = adds ? load(c + m * c_step + v * LANES) : Floats{};
  const char* left = static_cast<const char*>(a);
  for (int64_t k = 0; k < words; k++) {
    Floats right[V];
    for (int v = 0; v < V; v++) right[v] = load(reinterpret_cast<const float*>(b + k * b_step) + v * LANES);
    for (int m = 0; m < M; m++) {
      const uint32_t word = *reinterpret_cast<const Word*>(left + m * a_step + 4 * k);
      for (int v = 0; v < V; v++) sums[m][v] = Kind::multiply_add(sums[m][v], word, right[v]);
    }
  }
  for (int m = 0; m < M; m++)
    for (int v = 0; v < V; v++) store(c + m * c_step + v * LANES, sums[m][v]);
}

template <class Kind, int M>
void panel(int64_t vectors, const void* a, int64_t a_step, const uint32_t* b, int64_t b_step, int64_t words, float* c,
           int64_t c_step, bool adds) {
  while (vectors > 0) {
    // Divides five into three and two rather than four and one.
    const bool is_whole = vectors >= 2 * WIDEST || vectors <= WIDEST;
    const int64_t some = is_whole ? std::min<int64_t>(vectors, WIDEST) : (vectors + 1) / 2;
    switch (some) {
      case 1: tile<Kind, M, 1>(a, a_step, b, b_step, words, c, c_step, adds); break;
      case 2: tile<Kind, M, 2>(a, a_step, b, b_step, words, c, c_step, adds); break;
      case 3: tile<Kind, M, 3>(a, a_step, b, b_step, words, c, c_step, adds); break;
      default: tile<Kind, M, WIDEST>(a, a_step, b, b_step, words, c, c_step, adds);
    }
    b += some * LANES, c += some * LANES, vectors -= some;
  }
}

// Up to ROWS rows of A · B. Strides of A are in bytes, of B in words, of C in floats.
template <class Kind>
void product(int64_t rows, int64_t vectors, const void* a, int64_t a_step, const uint32_t* b, int64_t b_step,
             int64_t words, float* c, int64_t c_step, bool adds = false) {
  switch (rows) {
    case 1: return panel<Kind, 1>(vectors, a, a_step, b, b_step, words, c, c_step, adds);
    case 2: return panel<Kind, 2>(vectors, a, a_step, b, b_step, words, c, c_step, adds);
    case 3: return panel<Kind, 3>(vectors, a, a_step, b, b_step, words, c, c_step, adds);
    case 4: return panel<Kind, 4>(vectors, a, a_step, b, b_step, words, c, c_step, adds);
    case 5: return panel<Kind, 5>(vectors, a, a_step, b, b_step, words, c, c_step, adds);
    default: return panel<Kind, ROWS>(vectors, a, a_step, b, b_step, words, c, c_step, adds);
  }
}

// to[j][i] = from[i][j] for i < LANES and j < columns; zeros for i >= rows. Strides: bytes of `from`, words of `to`.
inline void turn(const void* from, int64_t from_step, int64_t rows, int64_t columns, uint32_t* to, int64_t to_step) {
  const char* source = static_cast<const char*>(from);
#if defined(__AVX512F__)
  __m512i r[16], t[16];
  const __mmask16 taken = static_cast<__mmask16>((1u << columns) - 1);
  for (int i = 0; i < 16; i++)
    r[i] = i < rows ? _mm512_maskz_loadu_epi32(taken, source + i * from_step) : _mm512_setzero_si512();
  for (int i = 0; i < 16; i += 2)
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]), t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; j++)
      r[i + 2 * j] = _mm512_unpacklo_epi64(t[i + j], t[i + j + 2]),
      r[i + 2 * j + 1] = _mm512_unpackhi_epi64(t[i + j], t[i + j + 2]);
  for (int i = 0; i < 16; i += 8)
    for (int j = 0; j < 4; j++)
      t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88),
      t[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
  for (int j = 0; j < 8; j++)
    r[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88), r[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
  for (int j = 0; j < 16; j++)
    if (j < columns) _mm512_storeu_si512(to + j * to_step, r[j]);
#else
  for (int64_t j = 0; j < columns; j++)
    for (int64_t i = 0; i < LANES; i++)
      to[j * to_step + i] = i < rows ? *reinterpret_cast<const Word*>(source + i * from_step + 4 * j) : 0;
#endif
}

// Rows [rows, width] as the words of their transpose, [width / PER_WORD, up(rows, LANES)].
template <class Kind>
void pack_turned(const typename Kind::Element* from, int64_t step, int64_t rows, int64_t width, uint32_t* to) {
  const int64_t words = width / Kind::PER_WORD, to_step = up(rows, LANES);
  const int64_t bytes = step * static_cast<int64_t>(sizeof(*from));
  for (int64_t i = 0; i < rows; i += LANES)
    for (int64_t j = 0; j < words; j += LANES)
      turn(reinterpret_cast<const char*>(from + i * step) + 4 * j, bytes, std::min<int64_t>(LANES, rows - i),
           std::min<int64_t>(LANES, words - j), to + j * to_step + i, to_step);
}

// Rows [rows, width] as words, [ceil(rows / PER_WORD), width].
template <class Kind>
void pack_rows(const typename Kind::Element* from, int64_t step, int64_t rows, int64_t width, uint32_t* to) {
  for (int64_t i = 0; i < rows; i += Kind::PER_WORD, to += width)
    for (int64_t j = 0; j < width; j += LANES)
      Kind::pair(to + j, from + i * step + j, i + 1 < rows ? from + (i + 1) * step + j : nullptr);
}

template <class Kind>
void write_rows(const float* from, int64_t rows, int64_t width, float factor, typename Kind::Element* to,
                int64_t step) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < width; j += LANES) Kind::write(to + i * step + j, load(from + i * width + j) * factor);
}

// Scratch memory of a thread, kept from call to call: allocating it each time would cost page faults.
class Room {
 public:
  ~Room() { free(start_); }
  // Reserves memory. The pointers are valid once `grows` returns false: use `do { take … } while (room.grows())`.
  template <class T>
  void take(T** found, int64_t count) {
    *found = reinterpret_cast<T*>(start_ + used_);
    used_ += up(count * static_cast<int64_t>(sizeof(T)), 64);
  }
  bool grows() {
    const int64_t wanted = up(used_, 4096);
    used_ = 0;
    if (wanted <= size_) return false;
    free(start_);
    start_ = static_cast<char*>(aligned_alloc(64, wanted));
    size_ = start_ ? wanted : 0;
    if (!start_) throw std::bad_alloc();
    return true;
  }

 private:
  char* start_ = nullptr;
  int64_t size_ = 0, used_ = 0;
};
thread_local Room room;

}  // namespace
