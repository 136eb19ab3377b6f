#include "engine/flow_maps.h"

namespace kfd::engine {
namespace {

constexpr int64_t kTile = 256;  // query rows at a time: memory stays O(N) a row, never H x N x N

// Few rows: sum_r A[r,n] <C_r, V_n> for each head. (T,B,H,N)
at::Tensor combine_rows(const BlockRecord& record, const at::Tensor& coefficients) {
  const at::Tensor along = at::matmul(coefficients, record.v.transpose(2, 3));  // (T,B,H,R,N)
  return (record.class_attention * along).sum(3);
}

// Every row: <V_n, sum_r A[r,n] C_r>, the sum over rows tile by tile. coefficients (T,B,H,N,d)
void combine_all(const BlockRecord& record, double scale, const at::Tensor& coefficients, at::Tensor& with_sign,
                 at::Tensor& with_relu) {
  const int64_t tokens = record.v.size(2);
  at::Tensor pulled = at::zeros_like(coefficients);
  at::Tensor pulled_relu = at::zeros_like(coefficients);
  for (int64_t from = 0; from < tokens; from += kTile) {
    const int64_t to = std::min(from + kTile, tokens);
    const at::Tensor columns = attention_rows(record, scale, from, to - from).transpose(2, 3);  // (B,H,N,rows)
    const at::Tensor rows = coefficients.slice(3, from, to);
    pulled += at::matmul(columns, rows);
    pulled_relu += at::matmul(columns, rows.clamp_min(0));
  }
  with_sign = (pulled * record.v).sum(-1);
  with_relu = (pulled_relu * record.v).sum(-1);
}

}  // namespace

TokenMaps token_maps(const BlockRecord& record, double scale, const at::Tensor& coefficients, bool per_head) {
  const int64_t rows = coefficients.size(2);
  const at::Tensor per_channel = split_heads(coefficients, record.q.size(1)).contiguous();  // (T,B,H,R,d)
  at::Tensor with_sign, with_relu;                                                          // (T,B,H,N)
  if (rows == record.class_attention.size(2)) {
    with_sign = combine_rows(record, per_channel);
    with_relu = combine_rows(record, per_channel.clamp_min(0));
  } else {
    combine_all(record, scale, per_channel, with_sign, with_relu);
  }
  TokenMaps maps{with_sign.sum(2), with_relu.sum(2), {}, {}, {}};
  if (per_head) {
    maps.signed_heads = with_sign;
    maps.relu_heads = with_relu;
  }
  maps.total = (coefficients * record.mixed.slice(1, 0, rows)).flatten(2).sum(2);
  return maps;
}

at::Tensor rollout_step(const BlockRecord& record, double scale, const at::Tensor& row) {
  at::Tensor next = row.clone();
  for (int64_t from = 0; from < row.size(1); from += kTile) {
    const int64_t to = std::min(from + kTile, row.size(1));
    const at::Tensor mean = attention_rows(record, scale, from, to - from).mean(1);  // (B,rows,N)
    next += at::matmul(row.slice(1, from, to).unsqueeze(1), mean).squeeze(1);
  }
  return next / 2;
}

}  // namespace kfd::engine
