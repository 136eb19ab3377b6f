// The attention of one block the other way round (spec/daam.md 4): from dY/dT to dY/d(q, k, v), where q and k are those
// after their norms. T targets, B images, N tokens, R leading rows, H heads of width d.
#pragma once

#include "engine/block_record.h"

namespace kfd::engine {

struct AttentionDerivative {
  at::Tensor q, k, v;  // (T,B,rows,H,d); may be views of `all`
  at::Tensor all;      // (T,B,rows,3,H,d), or undefined

  // (T,B,rows,3*H*d) as the qkv layer gives it
  at::Tensor together() const { return all.defined() ? all.flatten(3) : at::stack({q, k, v}, 3).flatten(3); }
};

// (T,B,rows,H*d) -> (T,B,H,rows,d), a view
at::Tensor split_heads(const at::Tensor& channels, int64_t heads);

// Softmax rows of the given queries: (B,H,rows,N) for record.q rows [from, from + rows).
at::Tensor attention_rows(const BlockRecord& record, double scale, int64_t from, int64_t rows);

// dY/dT of every token -> derivatives of every token. mixed (T,B,N,D)
AttentionDerivative reverse_attention(const BlockRecord& record, double scale, const at::Tensor& mixed);

// dY/dT of the class rows alone (the others' is zero) -> q of the class rows, k and v of every token. (T,B,R,D)
AttentionDerivative reverse_class_rows(const BlockRecord& record, double scale, const at::Tensor& mixed);

// The derivatives of the class tokens' own q, k, v alone. mixed (T,B,N,D): exact; (T,B,R,D): as if the other tokens'
// dY/dT were zero, which is how the class-row pass holds them constant.
AttentionDerivative reverse_to_class_rows(const BlockRecord& record, double scale, const at::Tensor& mixed);

}  // namespace kfd::engine
