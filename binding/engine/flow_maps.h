// Token maps of one block: the decomposition S[r,n,k] = A[r,n] V[n,k] of the rows of T, summed over the channels with
// coefficients C (spec/daam.md 1.2-1.4), without ever forming S. T targets, B images, N tokens, R rows, D width.
#pragma once

#include "engine/attention_reverse.h"

namespace kfd::engine {

struct TokenMaps {
  at::Tensor signed_map, relu_map;      // (T,B,N): sum over rows and channels with C, and with max(C, 0)
  at::Tensor signed_heads, relu_heads;  // (T,B,H,N); undefined unless asked for
  at::Tensor total;                     // (T,B): <C, T> from the attention's own output
};

// coefficients (T,B,R,D) of the first R rows: the class rows, or all N.
TokenMaps token_maps(const BlockRecord& record, double scale, const at::Tensor& coefficients, bool per_head);

// (A + I)/2 applied to a row from the left, A the mean over heads: one step of attention rollout. row (B,N)
at::Tensor rollout_step(const BlockRecord& record, double scale, const at::Tensor& row);

}  // namespace kfd::engine
