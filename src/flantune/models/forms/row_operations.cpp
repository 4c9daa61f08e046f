// Gated activations, norms and rotary positions, forward and backward, each in one pass over memory; called by
// `row_operations.py`.
//
// Arithmetic is float32, rounded once at the end. Results are the same to the bit for any number of threads.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "../attention/native_products.h"

extern "C" {

// As in row_operations.py.
struct Gated {
  const void *gate, *up, *grad;
  void *out, *grad_gate, *grad_up;
  int64_t count, is_half, is_gelu, threads;
};

struct Norm {
  const void *x, *weight, *grad;
  void *out, *grad_x;
  float *factor, *grad_weight;  // [rows]; [width] or null
  int64_t rows, width, is_half, is_rounded, threads;
  double eps;
};

// Lines are [tokens, heads, width] with the width contiguous; strides are in elements. Tables are [tokens, width].
struct Rotation {
  const void *query, *key, *cosines, *sines;
  void *query_out, *key_out;
  int64_t query_token, query_head, key_token, key_head;
  int64_t tokens, heads, key_heads, width, is_half, has_half_tables, is_back, threads;
};

// Rows of logits, [rows, width].
struct Softmax {
  const void* logits;
  float* log_sums;           // [rows]
  int64_t* greatest;         // [rows]: the first place of the greatest logit
  const int64_t* tokens;     // [rows], and the gradient of their log-probabilities:
  const float* grad;
  void* grad_logits;
  int64_t rows, width, is_half, threads;
};
}

namespace {

constexpr int64_t BLOCK = 4096;      // elements that a thread computes at a time
constexpr int64_t ROW_BLOCK = 128;   // rows whose shares of the gradient of a norm's weight are added up by one thread
constexpr float LOG2E_ = 1.44269504088896f, GELU = 1.59576912160573f, CUBE = 0.044715f;

// The last elements of a line, fewer than a vector, are read and written through a copy of the size of a vector.
template <class Kind>
Floats read_some(const typename Kind::Element* from, int64_t count) {
  typename Kind::Element copy[LANES] = {};
  memcpy(copy, from, count * sizeof(*copy));
  return Kind::read(copy);
}

template <class Kind>
void write_some(typename Kind::Element* to, Floats x, int64_t count) {
  typename Kind::Element copy[LANES];
  Kind::write(copy, x);
  memcpy(to, copy, count * sizeof(*copy));
}

inline Floats sigmoid(Floats x) {
  const Floats e = power((x < Floats{} ? x : -x) * LOG2E_);
  const Floats small = e / (1.0f + e);
  return x < Floats{} ? small : 1.0f - small;
}

// Both activations are x · sigmoid(inner(x)): inner is x (SiLU), or the cubic polynomial of GELU's tanh form.
inline Floats inner(Floats x, bool is_gelu) { return is_gelu ? GELU * (x + CUBE * x * x * x) : x; }
inline Floats inner_slope(Floats x, bool is_gelu) {
  return is_gelu ? GELU * (1.0f + 3.0f * CUBE * x * x) : all(1.0f);
}

template <class Work>
void for_each_block(int64_t blocks, int64_t threads, const Work& work) {
#pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t block = 0; block < blocks; block++) work(block);
}

template <class Kind>
void gate(const Gated& it) {
  using Element = typename Kind::Element;
  const auto *gates = static_cast<const Element*>(it.gate), *ups = static_cast<const Element*>(it.up);
  auto* out = static_cast<Element*>(it.out);
  const auto one = [&](Floats x, Floats up) { return x * sigmoid(inner(x, it.is_gelu)) * up; };
  for_each_block((it.count + BLOCK - 1) / BLOCK, it.threads, [&](int64_t block) {
    const int64_t end = std::min(it.count, (block + 1) * BLOCK);
    int64_t i = block * BLOCK;
    for (; i + LANES <= end; i += LANES) Kind::write(out + i, one(Kind::read(gates + i), Kind::read(ups + i)));
    if (i < end) {
      const int64_t rest = end - i;
      write_some<Kind>(out + i, one(read_some<Kind>(gates + i, rest), read_some<Kind>(ups + i, rest)), rest);
    }
  });
}

template <class Kind>
void gate_back(const Gated& it) {
  using Element = typename Kind::Element;
  const auto *gates = static_cast<const Element*>(it.gate), *ups = static_cast<const Element*>(it.up);
  const auto* grads = static_cast<const Element*>(it.grad);
  auto *grad_gate = static_cast<Element*>(it.grad_gate), *grad_up = static_cast<Element*>(it.grad_up);
  const auto one = [&](Floats x, Floats up, Floats grad, Floats* for_gate, Floats* for_up) {
    const Floats share = sigmoid(inner(x, it.is_gelu));
    *for_up = grad * x * share;
    *for_gate = grad * up * share * (1.0f + x * (1.0f - share) * inner_slope(x, it.is_gelu));
  };
  for_each_block((it.count + BLOCK - 1) / BLOCK, it.threads, [&](int64_t block) {
    const int64_t end = std::min(it.count, (block + 1) * BLOCK);
    int64_t i = block * BLOCK;
    Floats for_gate, for_up;
    for (; i + LANES <= end; i += LANES) {
      one(Kind::read(gates + i), Kind::read(ups + i), Kind::read(grads + i), &for_gate, &for_up);
      Kind::write(grad_gate + i, for_gate);
      Kind::write(grad_up + i, for_up);
    }
    if (i < end) {
      const int64_t rest = end - i;
      one(read_some<Kind>(gates + i, rest), read_some<Kind>(ups + i, rest), read_some<Kind>(grads + i, rest), &for_gate,
          &for_up);
      write_some<Kind>(grad_gate + i, for_gate, rest);
      write_some<Kind>(grad_up + i, for_up, rest);
    }
  });
}

// Widths are multiples of LANES. The output may have another data type than x: the one to which it is rounded next.
template <class Kind, class Written>
void norm(const Norm& it) {
  using Element = typename Kind::Element;
  const auto* weight = static_cast<const Element*>(it.weight);
  for_each_block((it.rows + ROW_BLOCK - 1) / ROW_BLOCK, it.threads, [&](int64_t block) {
    for (int64_t row = block * ROW_BLOCK; row < std::min(it.rows, (block + 1) * ROW_BLOCK); row++) {
      const auto* x = static_cast<const Element*>(it.x) + row * it.width;
      auto* out = static_cast<typename Written::Element*>(it.out) + row * it.width;
      Floats squares{};
      for (int64_t j = 0; j < it.width; j += LANES) {
        const Floats some = Kind::read(x + j);
        squares += some * some;
      }
      const float factor = 1.0f / std::sqrt(sum_of(squares) / it.width + static_cast<float>(it.eps));
      it.factor[row] = factor;
      for (int64_t j = 0; j < it.width; j += LANES)
        Written::write(out + j, Kind::read(x + j) * factor * Kind::read(weight + j));
    }
  });
}

template <class Kind>
void norm_back(const Norm& it) {
  using Element = typename Kind::Element;
  const auto* weight = static_cast<const Element*>(it.weight);
  const int64_t blocks = (it.rows + ROW_BLOCK - 1) / ROW_BLOCK;
  std::vector<float> parts(it.grad_weight ? blocks * it.width : 0);
  for_each_block(blocks, it.threads, [&](int64_t block) {
    float* part = it.grad_weight ? parts.data() + block * it.width : nullptr;
    for (int64_t row = block * ROW_BLOCK; row < std::min(it.rows, (block + 1) * ROW_BLOCK); row++) {
      const auto* x = static_cast<const Element*>(it.x) + row * it.width;
      const auto* grad = static_cast<const Element*>(it.grad) + row * it.width;
      auto* grad_x = static_cast<Element*>(it.grad_x) + row * it.width;
      const float factor = it.factor[row];
      Floats products{};
      for (int64_t j = 0; j < it.width; j += LANES) {
        const Floats seen = Kind::read(grad + j) * Kind::read(x + j);
        products += seen * Kind::read(weight + j);
        if (part) store(part + j, load(part + j) + seen * factor);
      }
      const float shared = sum_of(products) * factor * factor / it.width;
      for (int64_t j = 0; j < it.width; j += LANES)
        Kind::write(grad_x + j, (Kind::read(grad + j) * Kind::read(weight + j) - Kind::read(x + j) * shared) * factor);
    }
  });
  for (int64_t j = 0; it.grad_weight && j < it.width; j++) {
    it.grad_weight[j] = 0;
    for (int64_t block = 0; block < blocks; block++) it.grad_weight[j] += parts[block * it.width + j];
  }
}

// Each pair of numbers, half a head apart, is rotated by its angle; in the backward pass, by the negative angle.
template <class Kind, class Table>
void rotate_head(const typename Kind::Element* x, typename Kind::Element* out, const typename Table::Element* cosines,
                 const typename Table::Element* sines, int64_t half, bool is_back) {
  for (int64_t j = 0; j < half; j += LANES) {
    const Floats low = Kind::read(x + j), high = Kind::read(x + half + j);
    const Floats first = Table::read(sines + j), second = Table::read(sines + half + j);
    Kind::write(out + j, low * Table::read(cosines + j) + high * (is_back ? second : -first));
    Kind::write(out + half + j, high * Table::read(cosines + half + j) + low * (is_back ? -first : second));
  }
}

// Half the width of a head is a multiple of LANES.
template <class Kind, class Table>
void rotate(const Rotation& it) {
  using Element = typename Kind::Element;
  const auto turn_line = [&](const void* from, void* to, int64_t token, int64_t step, int64_t head_step, int64_t heads) {
    const auto* cosines = static_cast<const typename Table::Element*>(it.cosines) + token * it.width;
    const auto* sines = static_cast<const typename Table::Element*>(it.sines) + token * it.width;
    for (int64_t head = 0; head < heads; head++)
      rotate_head<Kind, Table>(static_cast<const Element*>(from) + token * step + head * head_step,
                               static_cast<Element*>(to) + (token * heads + head) * it.width, cosines, sines,
                               it.width / 2, it.is_back);
  };
  for_each_block((it.tokens + ROW_BLOCK - 1) / ROW_BLOCK, it.threads, [&](int64_t block) {
    for (int64_t token = block * ROW_BLOCK; token < std::min(it.tokens, (block + 1) * ROW_BLOCK); token++) {
      turn_line(it.query, it.query_out, token, it.query_token, it.query_head, it.heads);
      turn_line(it.key, it.key_out, token, it.key_token, it.key_head, it.key_heads);
    }
  });
}

// A vector of a row; beyond the row's end, numbers whose exponential is 0.
template <class Kind>
Floats read_or_hide(const typename Kind::Element* row, int64_t i, int64_t width) {
  if (i + LANES <= width) return Kind::read(row + i);
  return within(read_some<Kind>(row + i, width - i), -INFINITY, 0, 0, width - i);
}

// The log of the sum of e^logit. A row is read twice, the second time from the cache.
template <class Kind>
void sum_up(const Softmax& it) {
  for_each_block(it.rows, it.threads, [&](int64_t row) {
    const auto* x = static_cast<const typename Kind::Element*>(it.logits) + row * it.width;
    Floats greatest = all(-INFINITY);
    Ints places{};
    for (int64_t i = 0; i < it.width; i += LANES) {
      const Floats some = read_or_hide<Kind>(x, i, it.width);
      places = some > greatest ? Ints{} + static_cast<int32_t>(i) : places;
      greatest = some > greatest ? some : greatest;
    }
    const float top = greatest_of(greatest);
    int64_t place = it.width;
    for (int lane = 0; lane < LANES; lane++)
      if (greatest[lane] == top) place = std::min<int64_t>(place, places[lane] + lane);
    it.greatest[row] = std::min(place, it.width - 1);
    double sum = 0;
    for (int64_t block = 0; block < it.width; block += BLOCK) {
      Floats part{};
      for (int64_t i = block; i < std::min(it.width, block + BLOCK); i += LANES)
        part += power((read_or_hide<Kind>(x, i, it.width) - top) * LOG2E_);
      sum += sum_of(part);
    }
    it.log_sums[row] = top + static_cast<float>(std::log(sum));
  });
}

// The gradient of the tokens' log-probabilities: one at the token, minus the softmax, times theirs.
template <class Kind>
void sum_up_back(const Softmax& it) {
  for_each_block(it.rows, it.threads, [&](int64_t row) {
    const auto* x = static_cast<const typename Kind::Element*>(it.logits) + row * it.width;
    auto* out = static_cast<typename Kind::Element*>(it.grad_logits) + row * it.width;
    const float total = it.log_sums[row], grad = it.grad[row];
    const auto probability = [&](Floats some) { return power((some - total) * LOG2E_); };
    int64_t i = 0;
    for (; i + LANES <= it.width; i += LANES) Kind::write(out + i, probability(Kind::read(x + i)) * -grad);
    if (i < it.width)
      write_some<Kind>(out + i, probability(read_some<Kind>(x + i, it.width - i)) * -grad, it.width - i);
    const int64_t token = it.tokens[row];
    write_some<Kind>(out + token, (1.0f - probability(read_some<Kind>(x + token, 1))) * grad, 1);
  });
}

}  // namespace

// Returns 0, or 2 if the program was built without this data type.
#if defined(__AVX512BF16__)
#define RUN(function, it) return (it->is_half ? function<Half>(*it) : function<Single>(*it)), 0
#else
#define RUN(function, it) return it->is_half ? 2 : (function<Single>(*it), 0)
#endif

extern "C" {
int flantune_gate(const Gated* it) { RUN(gate, it); }
int flantune_gate_back(const Gated* it) { RUN(gate_back, it); }
int flantune_norm_back(const Norm* it) { RUN(norm_back, it); }
int flantune_sum_up(const Softmax* it) { RUN(sum_up, it); }
int flantune_sum_up_back(const Softmax* it) { RUN(sum_up_back, it); }

int flantune_norm(const Norm* it) {
#if defined(__AVX512BF16__)
  if (it->is_half) return norm<Half, Half>(*it), 0;
  if (it->is_rounded) return norm<Single, Half>(*it), 0;
#endif
  return it->is_half || it->is_rounded ? 2 : (norm<Single, Single>(*it), 0);
}

int flantune_rotate(const Rotation* it) {
#if defined(__AVX512BF16__)
  if (it->is_half) return it->has_half_tables ? rotate<Half, Half>(*it) : rotate<Half, Single>(*it), 0;
#endif
  return it->is_half || it->has_half_tables ? 2 : (rotate<Single, Single>(*it), 0);
}
}
