#include "engine/block_record.h"

namespace kfd::engine {
namespace {

at::Tensor normalise(const at::Tensor& x, const NormReading& norm, NormStatistics& statistics) {
  auto [y, mean, scale] = at::native_layer_norm(x, {x.size(-1)}, norm.weight, norm.bias, norm.eps);
  statistics = {mean, scale};
  return y;
}

// (B,N,D) -> q, k, v of the record
void project(const ClassAttention& attention, const at::Tensor& normalised, int64_t heads, BlockRecord& record) {
  const auto all = attention.qkv()(normalised).view({normalised.size(0), normalised.size(1), 3, heads, -1});
  const auto parts = all.permute({2, 0, 3, 1, 4}).unbind(0);
  record.q = parts[0];
  record.k = parts[1];
  record.v = parts[2];
  if (attention.q_norm().present()) {
    record.raw_q = record.q;
    record.q = layer_norm(record.q, attention.q_norm());
  }
  if (attention.k_norm().present()) {
    record.raw_k = record.k;
    record.k = layer_norm(record.k, attention.k_norm());
  }
}

// T (B,N,D), and the denominators where the fused kernel gives them.
at::Tensor mix(const BlockRecord& record, double scale, at::Tensor& log_sums) {
  at::Tensor mixed;
  if (record.q.is_cpu()) {
    std::tie(mixed, log_sums) =
        at::_scaled_dot_product_flash_attention_for_cpu(record.q, record.k, record.v, 0.0, false, {}, scale);
  } else {
    mixed = at::scaled_dot_product_attention(record.q, record.k, record.v, {}, 0.0, false, scale);
  }
  return mixed.transpose(1, 2).flatten(2);
}

}  // namespace

at::Tensor record_block(const BlockParts& parts, const at::Tensor& x, const RecordOptions& options,
                        BlockRecord& record) {
  const int64_t tokens = x.size(1);
  const int64_t kept = options.all_tokens ? tokens : options.class_rows;
  const auto keep = [&](const at::Tensor& values) {
    return values.size(1) <= kept ? values : values.slice(1, 0, kept).clone();
  };
  const double scale = parts.attention.scale();
  project(parts.attention, normalise(x, parts.attention.norm1(), record.norm1), parts.heads, record);
  record.x = keep(x);
  const at::Tensor queries = record.q.slice(2, 0, options.class_rows) * scale;
  record.class_attention = at::softmax(at::matmul(queries, record.k.transpose(2, 3)), -1);
  at::Tensor mixed = options.narrow ? at::matmul(record.class_attention, record.v).transpose(1, 2).flatten(2)
                                    : mix(record, scale, record.log_sums);
  record.mixed = keep(mixed);

  // From here on every token stands for itself.
  const int64_t rows = options.narrow ? options.class_rows : tokens;
  if (parts.attention_norm.present()) {
    mixed = layer_norm(mixed, parts.attention_norm);
  }
  const at::Tensor middle = parts.proj.added_to(x.slice(1, 0, rows), mixed.contiguous());
  // not fused with its activation: the reverse passes want what stands between
  const at::Tensor hidden = parts.fc1(normalise(middle, parts.norm2, record.norm2));
  at::Tensor activated = activate(hidden, parts.activation);
  record.hidden = keep(hidden);
  if (!options.all_tokens) {
    record.norm1 = record.norm2 = {};
    record.log_sums.reset();
  }
  if (parts.mlp_norm.present()) {
    activated = layer_norm(activated, parts.mlp_norm);
  }
  const at::Tensor output = parts.fc2.added_to(middle, activated);
  record.middle = keep(middle);
  record.output = keep(output);
  return output;
}

}  // namespace kfd::engine
