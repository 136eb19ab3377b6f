#include "engine/attention_reverse.h"

namespace kfd::engine {
namespace {

// (T,B,H,rows,d) -> (T,B,rows,H,d)
at::Tensor tokens_first(const at::Tensor& heads_first) { return heads_first.transpose(2, 3); }

// dY/dscores from A and dA (..., rows, N): A (dA - sum_n A dA) * scale
at::Tensor softmax_reverse(const at::Tensor& attention, const at::Tensor& derivative, double scale) {
  return attention * (derivative - (attention * derivative).sum(-1, /*keepdim=*/true)) * scale;
}

// One target by torch's fused kernel: it recomputes the softmax tile by tile, so that memory stays O(N D).
AttentionDerivative fused(const BlockRecord& record, double scale, const at::Tensor& mixed) {
  const at::Tensor out = split_heads(record.mixed, record.q.size(1));
  auto [q, k, v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
      split_heads(mixed, record.q.size(1)), record.q, record.k, record.v, out, record.log_sums, 0.0, false, {}, scale);
  return {q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {}};
}

// One target in tiles of query rows.
AttentionDerivative tiled(const BlockRecord& record, double scale, const at::Tensor& mixed) {
  constexpr int64_t kTile = 256;
  const int64_t tokens = record.q.size(2);
  const at::Tensor heads_first = split_heads(mixed, record.q.size(1));
  std::vector<at::Tensor> q;
  at::Tensor k = at::zeros_like(record.k);
  at::Tensor v = at::zeros_like(record.v);
  for (int64_t from = 0; from < tokens; from += kTile) {
    const int64_t to = std::min(from + kTile, tokens);
    const at::Tensor attention = attention_rows(record, scale, from, to - from);
    const at::Tensor derivative = heads_first.slice(2, from, to);
    const at::Tensor scores = softmax_reverse(attention, at::matmul(derivative, record.v.transpose(2, 3)), scale);
    q.push_back(at::matmul(scores, record.k));
    k += at::matmul(scores.transpose(2, 3), record.q.slice(2, from, to));
    v += at::matmul(attention.transpose(2, 3), derivative);
  }
  return {at::cat(q, 2).transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), {}};
}

}  // namespace

at::Tensor split_heads(const at::Tensor& channels, int64_t heads) {
  return channels.unflatten(-1, {heads, -1}).transpose(-3, -2);
}

at::Tensor attention_rows(const BlockRecord& record, double scale, int64_t from, int64_t rows) {
  const at::Tensor queries = record.q.slice(2, from, from + rows) * scale;
  return at::softmax(at::matmul(queries, record.k.transpose(2, 3)), -1);
}

AttentionDerivative reverse_attention(const BlockRecord& record, double scale, const at::Tensor& mixed) {
  const auto [images, heads, tokens, width] =
      std::make_tuple(record.q.size(0), record.q.size(1), record.q.size(2), record.q.size(3));
  at::Tensor all = at::empty({mixed.size(0), images, tokens, 3, heads, width}, mixed.options());
  for (int64_t target = 0; target < mixed.size(0); ++target) {
    const at::Tensor one = mixed[target];
    const auto derivative = record.log_sums.defined() ? fused(record, scale, one) : tiled(record, scale, one);
    all[target].select(2, 0).copy_(derivative.q);
    all[target].select(2, 1).copy_(derivative.k);
    all[target].select(2, 2).copy_(derivative.v);
  }
  return {all.select(3, 0), all.select(3, 1), all.select(3, 2), all};
}

AttentionDerivative reverse_class_rows(const BlockRecord& record, double scale, const at::Tensor& mixed) {
  const at::Tensor& attention = record.class_attention;                             // (B,H,R,N)
  const at::Tensor derivative = split_heads(mixed, record.q.size(1)).contiguous();  // (T,B,H,R,d)
  const at::Tensor scores =
      softmax_reverse(attention, at::matmul(derivative, record.v.transpose(2, 3)), scale);  // (T,B,H,R,N)
  const at::Tensor queries = record.q.slice(2, 0, attention.size(2));
  return {tokens_first(at::matmul(scores, record.k)),
          tokens_first(at::matmul(scores.transpose(3, 4), queries)),
          tokens_first(at::matmul(attention.transpose(2, 3), derivative)),
          {}};
}

AttentionDerivative reverse_to_class_rows(const BlockRecord& record, double scale, const at::Tensor& mixed) {
  const int64_t rows = record.class_attention.size(2);
  const at::Tensor derivative = split_heads(mixed, record.q.size(1));  // (T,B,H,M,d)
  const int64_t queries = derivative.size(3);
  // rows of the class queries: what their own q receives, and with M = R also what their k and v receive
  const at::Tensor row_scores =
      softmax_reverse(record.class_attention, at::matmul(derivative.slice(3, 0, rows), record.v.transpose(2, 3)),
                      scale);        // (T,B,H,R,N)
  at::Tensor column, column_scores;  // (B,H,M,R), (T,B,H,M,R): columns of the class keys
  if (queries == rows) {
    column = record.class_attention.slice(3, 0, rows);
    column_scores = row_scores.slice(4, 0, rows);
  } else {
    const at::Tensor keys = record.k.slice(2, 0, rows).transpose(2, 3);
    column = record.log_sums.defined() ? (at::matmul(record.q, keys) * scale - record.log_sums.unsqueeze(-1)).exp()
                                       : attention_rows(record, scale, 0, queries).slice(3, 0, rows);
    // sum_n A dA of a row is <dT, T>
    const at::Tensor mean = (derivative * split_heads(record.mixed, record.q.size(1))).sum(-1, /*keepdim=*/true);
    column_scores = column * (at::matmul(derivative, record.v.slice(2, 0, rows).transpose(2, 3)) - mean) * scale;
  }
  return {tokens_first(at::matmul(row_scores, record.k)),
          tokens_first(at::matmul(column_scores.transpose(3, 4), record.q.slice(2, 0, queries))),
          tokens_first(at::matmul(column.transpose(2, 3), derivative)),
          {}};
}

}  // namespace kfd::engine
