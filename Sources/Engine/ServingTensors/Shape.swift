// Letters for shapes in comments, one meaning each, all through the engine:
//
//   T  tokens in the step              H  query heads            R  adapter rank
//   S  sequences in the step           K  key-value heads        N  KV blocks
//   L  decoder layers                  D  head dimension         P  positions a KV block
//   E  hidden (embedding) size         F  feed-forward size      V  vocabulary
//
// Shapes are written outermost first: a matrix (F, E) has F rows of E contiguous elements and maps E to F.

/// Index into a model's vocabulary.
public typealias TokenID = Int32
