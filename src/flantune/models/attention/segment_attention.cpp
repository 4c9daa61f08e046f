// Attention within the segments of a flat line, forward and backward, on a CPU; built and called by `native.py`.
//
// Each (segment, key head) is computed by one thread, so that the results are the same to the bit for any number of
// threads. Scores and softmax are float32. The forward pass handles a few queries at a time with all the keys that they
// attend to; of the weights it keeps only the log-sum-exp of each query. The backward pass computes the weights again,
// transposed (keys by queries), which is the layout that its next products need.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "native_products.h"

extern "C" {

// As in native.py. Strides are in elements; a line is [tokens, heads, width] with the width contiguous.
struct Problem {
  const void *query, *key, *value;
  int64_t query_token, query_head, key_token, key_head, value_token, value_head;
  const int32_t *query_ends, *key_ends;
  const int32_t* mutual;  // tokens at the start of each segment that attend to each other under a causal rule, or null
  int64_t segments, tokens, heads, key_heads, width;
  int64_t is_causal, window, is_half, threads;
  double scale;
  const float* bias;  // by head and distance, [heads, 2 · reach + 1], or null
  int64_t reach;
  // Additive mask of each segment's last queries, read by the forward pass only, or null: one row per query, with a
  // number per key, padded to a multiple of MASK_STEP. Per segment, where its rows begin and the first query with a row.
  const float* mask;
  const int64_t* mask_from;  // [segments, 2]
  void* out;   // [tokens, heads, width]
  float* logs; // base-2 log-sum-exp, [heads, tokens]
  const void* grad;  // like out
  void *grad_query, *grad_key, *grad_value;  // [tokens, heads, width]
  float* grad_bias;  // like bias
};
}

namespace {

constexpr int64_t KEYS = 96;      // keys of a block in the backward pass; a multiple of ROWS and of 2 · LANES
constexpr int64_t QUERIES = 256;  // queries of a block in the backward pass; a multiple of LANES
constexpr int64_t MASK_STEP = 16;  // a multiple of LANES
constexpr float LOG2E = 1.44269504088896f;

// Length of a head's biases in the copy: vectors read some elements beyond the last, which have no effect.
inline int64_t bias_step(const Problem& problem) { return 2 * problem.reach + 1 + LANES; }

// Biases times log2(e), in order of distance or reversed; null if there are none or there is not enough memory.
float* copy_bias(const Problem& problem, bool is_turned) {
  const int64_t row = 2 * problem.reach + 1, step = bias_step(problem);
  float* found = problem.bias ? static_cast<float*>(calloc(problem.heads * step, 4)) : nullptr;
  for (int64_t head = 0; found && head < problem.heads; head++)
    for (int64_t i = 0; i < row; i++)
      found[head * step + i] = problem.bias[head * row + (is_turned ? row - 1 - i : i)] * LOG2E;
  return found;
}

// One segment and key head of a problem.
template <class Kind>
struct Part {
  using Element = typename Kind::Element;
  const Problem& whole;
  int64_t segment, key_head, query_start, key_start, queries, keys, mutual, width, groups;
  float scale;  // times log2(e)
  const Element *key, *value;

  Part(const Problem& problem, int64_t number)
      : whole(problem),
        segment(number / problem.key_heads),
        key_head(number % problem.key_heads),
        query_start(problem.query_ends[segment]),
        key_start(problem.key_ends[segment]),
        queries(problem.query_ends[segment + 1] - query_start),
        keys(problem.key_ends[segment + 1] - key_start),
        mutual(problem.mutual ? problem.mutual[segment] : 0),
        width(problem.width),
        groups(problem.heads / problem.key_heads),
        scale(static_cast<float>(problem.scale) * LOG2E),
        key(static_cast<const Element*>(problem.key) + key_start * problem.key_token + key_head * problem.key_head),
        value(static_cast<const Element*>(problem.value) + key_start * problem.value_token +
              key_head * problem.value_head) {}

  const Element* query(int64_t head) const {
    return static_cast<const Element*>(whole.query) + query_start * whole.query_token + head * whole.query_head;
  }
  // The first token of this segment in a contiguous line, at one head.
  Element* at(const void* line, int64_t head, int64_t heads, int64_t start) const {
    return static_cast<Element*>(const_cast<void*>(line)) + (start * heads + head) * width;
  }
  float* logs(int64_t head) const { return whole.logs + head * whole.tokens + query_start; }
  // The first key that a query attends to, and the end of its keys; neither decreases from one query to the next.
  int64_t first_key(int64_t query) const {
    return whole.is_causal && whole.window ? std::max<int64_t>(0, query - whole.window + 1) : 0;
  }
  int64_t last_key(int64_t query) const {
    if (!whole.is_causal) return keys;
    const int64_t ahead = whole.window ? std::min(mutual, query + whole.window) : mutual;
    return std::min(keys, query < mutual ? std::max(ahead, query + 1) : query + 1);
  }
  // The mask of a query's scores; null: none.
  const float* mask(int64_t query) const {
    const int64_t* from = whole.mask ? whole.mask_from + 2 * segment : nullptr;
    return from && query >= from[1] ? whole.mask + from[0] + (query - from[1]) * up(keys, MASK_STEP) : nullptr;
  }
  // The first query that attends to a key.
  int64_t first_query(int64_t key) const {
    if (!whole.is_causal) return 0;
    return key < mutual ? first_key(key) : key;
  }

  void blank(const void* line, int64_t head, int64_t heads, int64_t start, int64_t count) const {
    Element* to = at(line, head, heads, start);
    for (int64_t i = 0; i < count; i++) memset(to + i * heads * width, 0, width * sizeof(Element));
  }
};

// Weights of one query from its scores, not yet normalized: 2^(score − greatest). Returns the factor that normalizes.
template <class Kind>
float weigh(float* scores, typename Kind::Element* weights, int64_t start, int64_t end, int64_t first, int64_t last,
            float scale, const float* bias, float* log) {
  Floats greatest = all(HIDDEN);
  for (int64_t j = start; j < end; j += LANES) {
    Floats x = load(scores + j) * scale;
    if (bias) x += load(bias + j);
    if (j < first || j + LANES > last) x = within(x, HIDDEN, j, first, last);
    store(scores + j, x);
    greatest = x > greatest ? x : greatest;
  }
  const float top = greatest_of(greatest);
  Floats sum{};
  for (int64_t j = start; j < end; j += LANES) {
    const Floats weight = power(load(scores + j) - top);
    Kind::write(weights + j, weight);
    sum += weight;
  }
  const float total = sum_of(sum);
  *log = top + std::log2(total);
  return 1.0f / total;
}

template <class Kind>
void forward(const Problem& problem, int64_t number, const float* bias) {
  using Element = typename Kind::Element;
  const Part<Kind> part(problem, number);
  const int64_t width = part.width, keys = part.keys, padded = up(keys, LANES);
  const int64_t words = width / Kind::PER_WORD, first_head = part.key_head * part.groups;
  if (keys == 0 || part.queries == 0) {
    for (int64_t head = first_head; head < first_head + part.groups; head++)
      part.blank(problem.out, head, problem.heads, part.query_start, part.queries);
    return;
  }
  uint32_t *turned_key, *value;
  float *scores, *sums;
  Element* weights;
  do {
    room.take(&turned_key, words * padded);
    room.take(&value, up(keys, Kind::PER_WORD) / Kind::PER_WORD * width);
    room.take(&scores, ROWS * padded);
    room.take(&weights, ROWS * padded);
    room.take(&sums, ROWS * width);
  } while (room.grows());
  pack_turned<Kind>(part.key, problem.key_token, keys, width, turned_key);
  pack_rows<Kind>(part.value, problem.value_token, keys, width, value);
  const int64_t element = sizeof(Element);
  for (int64_t head = first_head; head < first_head + part.groups; head++) {
    const Element* query = part.query(head);
    Element* out = part.at(problem.out, head, problem.heads, part.query_start);
    const float* distances = bias ? bias + head * bias_step(problem) + problem.reach : nullptr;
    for (int64_t i = 0; i < part.queries; i += ROWS) {
      const int64_t rows = std::min<int64_t>(ROWS, part.queries - i);
      const int64_t start = down(part.first_key(i), LANES), last = part.last_key(i + rows - 1);
      const int64_t end = up(last, LANES);
      product<Kind>(rows, (end - start) / LANES, query + i * problem.query_token, problem.query_token * element,
                    turned_key + start, padded, words, scores + start, padded);
      float factors[ROWS];
      for (int64_t row = 0; row < rows; row++)
        factors[row] = weigh<Kind>(scores + row * padded, weights + row * padded, start, end, part.first_key(i + row),
                                   part.last_key(i + row), part.scale,
                                   distances ? distances - (i + row) : part.mask(i + row),
                                   part.logs(head) + i + row);
      product<Kind>(rows, width / LANES, weights + start, padded * element, value + start / Kind::PER_WORD * width,
                    width, (last - start + Kind::PER_WORD - 1) / Kind::PER_WORD, sums, width);
      for (int64_t row = 0; row < rows; row++)
        write_rows<Kind>(sums + row * width, 1, width, factors[row], out + (i + row) * problem.heads * width, 0);
    }
  }
}

// The backward pass of one segment and key head, keys by queries: a few keys at a time.
template <class Kind>
struct Backward {
  using Element = typename Kind::Element;
  const Part<Kind>& part;
  int64_t padded, words;
  uint32_t *turned_query, *turned_grad, *query, *grad, *key;  // packed
  float *logs, *deltas, *found_query, *found_key, *found_value, *found_bias;
  float *scores, *grads;        // of a few keys; grads are those of the weights
  Element *weights, *changes;   // of a few keys; changes are the gradients of the scores
  uint32_t* block;              // changes of a block of keys, in words
  Element* turned_block;        // the same, queries by keys

  explicit Backward(const Part<Kind>& part_) : part(part_) {
    const int64_t width = part.width;
    padded = up(part.queries, LANES), words = width / Kind::PER_WORD;
    do {
      for (uint32_t** packed : {&turned_query, &turned_grad}) room.take(packed, words * padded);
      for (uint32_t** packed : {&query, &grad}) room.take(packed, up(part.queries, 2) / Kind::PER_WORD * width);
      room.take(&key, up(part.keys, 2) / Kind::PER_WORD * width);
      for (float** line : {&logs, &deltas}) room.take(line, padded);
      room.take(&found_query, part.queries * width);
      for (float** line : {&found_key, &found_value}) room.take(line, part.keys * width);
      for (float** few : {&scores, &grads}) room.take(few, ROWS * QUERIES);
      for (Element** few : {&weights, &changes}) room.take(few, ROWS * QUERIES);
      room.take(&block, KEYS / Kind::PER_WORD * QUERIES);
      room.take(&turned_block, KEYS * QUERIES);
    } while (room.grows());
  }

  void begin_head(int64_t head) {
    const Problem& whole = part.whole;
    const int64_t step = whole.heads * part.width;
    const Element* towards = part.at(whole.grad, head, whole.heads, part.query_start);
    const Element* out = part.at(whole.out, head, whole.heads, part.query_start);
    pack_turned<Kind>(part.query(head), whole.query_token, part.queries, part.width, turned_query);
    pack_rows<Kind>(part.query(head), whole.query_token, part.queries, part.width, query);
    pack_turned<Kind>(towards, step, part.queries, part.width, turned_grad);
    pack_rows<Kind>(towards, step, part.queries, part.width, grad);
    for (int64_t i = 0; i < padded; i++) {
      // The weights of queries beyond the last one become 0.
      logs[i] = i < part.queries ? part.logs(head)[i] : -HIDDEN;
      Floats sum{};
      for (int64_t j = 0; i < part.queries && j < part.width; j += LANES)
        sum += Kind::read(towards + i * step + j) * Kind::read(out + i * step + j);
      deltas[i] = sum_of(sum);
    }
    memset(found_query, 0, part.queries * part.width * 4);
  }

  // Weights and changes of `rows` keys from `key_` on and queries [first, first + count); writes the changes to `to` in
  // words.
  void weigh(int64_t key_, int64_t rows, int64_t first, int64_t count, const float* distances, uint32_t* to) {
    const bool edge = part.whole.is_causal && (first < key_ + rows || part.whole.window);
    const int64_t behind = part.whole.window ? part.whole.window : INT32_MAX / 2;
    for (int64_t row = 0; row < rows; row += 2) {
      for (int64_t j = 0; j < count; j += LANES) {
        Floats change[2] = {};
        for (int64_t i = 0; i < 2 && row + i < rows; i++) {
          const int64_t at = (row + i) * QUERIES + j, me = key_ + row + i;
          Floats x = load(scores + at) * part.scale - load(logs + first + j);
          if (distances) x += load(distances + first + j - me);
          Floats weight = power(x);
          if (edge) weight = within(weight, 0.0f, first + j, part.first_query(me), me + behind);
          change[i] = weight * (load(grads + at) - load(deltas + first + j));
          Kind::write(weights + at, weight);
          Kind::write(changes + at, change[i]);
          if (found_bias) {
            float* sum = found_bias + part.keys - 1 + first + j - me;
            store(sum, load(sum) + change[i]);
          }
        }
        if (Kind::PER_WORD == 2) {
          Kind::write_words(to + row / 2 * QUERIES + j, change[0], change[1]);
        } else {
          Kind::write_words(to + row * QUERIES + j, change[0], change[0]);
          if (row + 1 < rows) Kind::write_words(to + (row + 1) * QUERIES + j, change[1], change[1]);
        }
      }
    }
  }

  // A block of keys and queries: adds to the gradients of the keys and values, and leaves the changes in `block`.
  void few_keys(int64_t key_, int64_t rows, int64_t start, int64_t end, const float* distances, uint32_t* to) {
    const Problem& whole = part.whole;
    const int64_t width = part.width, element = sizeof(Element);
    const int64_t first = std::max(start, std::min(end, down(part.first_query(key_), LANES)));
    const int64_t count = end - first, lanes = up(count, LANES);
    const int64_t row_words = (count + Kind::PER_WORD - 1) / Kind::PER_WORD;
    for (int64_t word = 0; word < (rows + Kind::PER_WORD - 1) / Kind::PER_WORD; word++)
      memset(to + word * QUERIES, 0, 4 * (first - start));
    if (count == 0) return;
    product<Kind>(rows, lanes / LANES, part.key + key_ * whole.key_token, whole.key_token * element,
                  turned_query + first, padded, words, scores, QUERIES);
    product<Kind>(rows, lanes / LANES, part.value + key_ * whole.value_token, whole.value_token * element,
                  turned_grad + first, padded, words, grads, QUERIES);
    weigh(key_, rows, first, lanes, distances, to + (first - start));
    const int64_t from = first / Kind::PER_WORD * width;
    product<Kind>(rows, width / LANES, weights, QUERIES * element, grad + from, width, row_words,
                  found_value + key_ * width, width, true);
    product<Kind>(rows, width / LANES, changes, QUERIES * element, query + from, width, row_words,
                  found_key + key_ * width, width, true);
  }

  // Adds the share of a block of keys to the gradients of queries [start, end).
  void many_queries(int64_t key_, int64_t count, int64_t start, int64_t end) {
    const int64_t width = part.width, block_words = (count + Kind::PER_WORD - 1) / Kind::PER_WORD;
    constexpr int64_t step = KEYS / Kind::PER_WORD;
    for (int64_t i = 0; i < block_words; i += LANES)
      for (int64_t j = 0; j < end - start; j += LANES)
        turn(block + i * QUERIES + j, 4 * QUERIES, std::min<int64_t>(LANES, block_words - i), LANES,
             reinterpret_cast<uint32_t*>(turned_block) + j * step + i, step);
    for (int64_t i = start; i < end; i += ROWS) {
      const int64_t rows = std::min<int64_t>(ROWS, end - i);
      const int64_t seen = std::min(count, part.last_key(i + rows - 1) - key_);
      if (seen > 0)
        product<Kind>(rows, width / LANES, turned_block + (i - start) * KEYS, KEYS * sizeof(Element),
                      key + key_ / Kind::PER_WORD * width, width, (seen + Kind::PER_WORD - 1) / Kind::PER_WORD,
                      found_query + i * width, width, true);
    }
  }

  void head(const float* distances) {
    const Problem& whole = part.whole;
    for (int64_t k = 0; k < part.keys; k += KEYS) {
      const int64_t count = std::min(KEYS, part.keys - k);
      const int64_t last = whole.is_causal && whole.window ? std::min(part.queries, k + count - 1 + whole.window)
                                                           : part.queries;
      for (int64_t q = down(part.first_query(k), LANES); q < last; q += QUERIES) {
        const int64_t end = std::min(last, q + QUERIES);
        for (int64_t row = 0; row < count; row += ROWS)
          few_keys(k + row, std::min<int64_t>(ROWS, count - row), q, end, distances,
                   block + row / Kind::PER_WORD * QUERIES);
        many_queries(k, count, q, end);
      }
    }
  }
};

template <class Kind>
void backward(const Problem& problem, int64_t number, const float* turned_bias, float* bias_parts) {
  const Part<Kind> part(problem, number);
  const int64_t width = part.width, first_head = part.key_head * part.groups;
  if (part.keys == 0 || part.queries == 0) {
    for (int64_t head = first_head; head < first_head + part.groups; head++)
      part.blank(problem.grad_query, head, problem.heads, part.query_start, part.queries);
    for (void* line : {problem.grad_key, problem.grad_value})
      part.blank(line, part.key_head, problem.key_heads, part.key_start, part.keys);
    return;
  }
  Backward<Kind> work(part);
  pack_rows<Kind>(part.key, problem.key_token, part.keys, width, work.key);
  memset(work.found_key, 0, part.keys * width * 4);
  memset(work.found_value, 0, part.keys * width * 4);
  const float scale = static_cast<float>(problem.scale);
  for (int64_t head = first_head; head < first_head + part.groups; head++) {
    work.begin_head(head);
    work.found_bias = nullptr;
    if (turned_bias) {
      const int64_t before = (part.query_start + part.key_start + 2 * LANES * part.segment) * problem.heads;
      work.found_bias = bias_parts + before + head * (part.queries + part.keys + 2 * LANES);
    }
    work.head(turned_bias ? turned_bias + head * bias_step(problem) + problem.reach : nullptr);
    write_rows<Kind>(work.found_query, part.queries, width, scale,
                     part.at(problem.grad_query, head, problem.heads, part.query_start), problem.heads * width);
  }
  write_rows<Kind>(work.found_key, part.keys, width, scale,
                   part.at(problem.grad_key, part.key_head, problem.key_heads, part.key_start),
                   problem.key_heads * width);
  write_rows<Kind>(work.found_value, part.keys, width, 1.0f,
                   part.at(problem.grad_value, part.key_head, problem.key_heads, part.key_start),
                   problem.key_heads * width);
}

// Adds up the bias gradients of all segments in order.
void add_bias(const Problem& problem, const float* parts) {
  const int64_t row = 2 * problem.reach + 1;
  memset(problem.grad_bias, 0, problem.heads * row * 4);
  parts += (problem.query_ends[0] + problem.key_ends[0]) * problem.heads;
  for (int64_t segment = 0; segment < problem.segments; segment++) {
    const int64_t queries = problem.query_ends[segment + 1] - problem.query_ends[segment];
    const int64_t keys = problem.key_ends[segment + 1] - problem.key_ends[segment], size = queries + keys + 2 * LANES;
    for (int64_t head = 0; head < problem.heads && queries && keys; head++) {
      float* to = problem.grad_bias + head * row + problem.reach + keys - 1;
      for (int64_t i = 0; i < queries + keys - 1; i++) to[-i] += parts[head * size + i];
    }
    parts += problem.heads * size;
  }
}

template <class Work>
int for_each_part(const Problem& problem, Work work) {
  const int64_t count = problem.segments * problem.key_heads;
  bool failed = false;
#pragma omp parallel for schedule(dynamic, 1) num_threads(problem.threads) reduction(|| : failed)
  for (int64_t number = 0; number < count; number++) {
    try {
      work(number);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  }
  return failed;
}

template <class Kind>
int run_forward(const Problem& problem) {
  float* bias = copy_bias(problem, false);
  if (problem.bias && !bias) return 1;
  const int failed = for_each_part(problem, [&](int64_t number) { forward<Kind>(problem, number, bias); });
  free(bias);
  return failed;
}

template <class Kind>
int run_backward(const Problem& problem) {
  // Reversed, because queries are contiguous here and the distance decreases from one query to the next.
  float *bias = copy_bias(problem, true), *parts = nullptr;
  if (problem.bias) {
    const int64_t count = problem.query_ends[problem.segments] + problem.key_ends[problem.segments];
    parts = static_cast<float*>(calloc((count + 2 * LANES * problem.segments) * problem.heads + 1, 4));
  }
  int failed = problem.bias && !(bias && parts);
  if (!failed)
    failed = for_each_part(problem, [&](int64_t number) { backward<Kind>(problem, number, bias, parts); });
  if (!failed && parts) add_bias(problem, parts);
  free(bias);
  free(parts);
  return failed;
}

}  // namespace

extern "C" {

// Bits: 1 float32, 2 bfloat16.
int flantune_attention_kinds() {
#if defined(__AVX512BF16__)
  return 3;
#else
  return 1;
#endif
}

// Returns 0; 1 if there is not enough memory; 2 if the program was built without this data type.
int flantune_attention_forward(const Problem* problem) {
#if defined(__AVX512BF16__)
  if (problem->is_half) return run_forward<Half>(*problem);
#endif
  return problem->is_half ? 2 : run_forward<Single>(*problem);
}

int flantune_attention_backward(const Problem* problem) {
#if defined(__AVX512BF16__)
  if (problem->is_half) return run_backward<Half>(*problem);
#endif
  return problem->is_half ? 2 : run_backward<Single>(*problem);
}
}
