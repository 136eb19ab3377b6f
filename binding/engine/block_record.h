// One block's forward pass that keeps what its reverse passes need (spec/daam.md 1.1, 4).
#pragma once

#include "engine/block.h"

namespace kfd::engine {

struct RecordOptions {
  int64_t class_rows = 1;  // leading tokens whose attention rows are kept
  bool all_tokens = true;  // keep the other tokens' values too
  bool narrow = false;     // nothing but the class rows leaves this block: compute no more behind its attention
};

// Mean and 1/sigma of a LayerNorm's input, (B,rows,1).
struct NormStatistics {
  at::Tensor mean, scale;
};

// B images, N tokens, R class rows, H heads of width d. "rows" are N tokens, or the R class rows alone where the others
// were not kept.
struct BlockRecord {
  at::Tensor x;                 // (B,rows,D) what the block received
  at::Tensor q, k, v;           // (B,H,N,d), q and k after their norms
  at::Tensor raw_q, raw_k;      // before them; undefined where there are none
  at::Tensor mixed;             // (B,rows,D) T, before attn.norm
  at::Tensor log_sums;          // (B,H,N) log of the softmax's denominators; undefined where no pass needs it
  at::Tensor middle;            // (B,rows,D) X', after the attention branch
  at::Tensor hidden;            // (B,rows,4D) of the MLP before its activation
  at::Tensor output;            // (B,rows,D)
  at::Tensor class_attention;   // (B,H,R,N)
  NormStatistics norm1, norm2;  // undefined where only class rows are kept
};

// x (B,N,D) -> (B,N,D), or (B,R,D) when narrow
at::Tensor record_block(const BlockParts& parts, const at::Tensor& x, const RecordOptions& options,
                        BlockRecord& record);

}  // namespace kfd::engine
