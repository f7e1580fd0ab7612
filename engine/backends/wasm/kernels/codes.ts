// Codes of the operations on each element, named after them. A name ends in _i32 or _u8 where the values are not floats:
// those of add or where, for instance. The host's table of kernels is typed by these names.

// One operand.
export const OP_neg: i32 = 0;
export const OP_exp: i32 = 1;
export const OP_log: i32 = 2;
export const OP_sqrt: i32 = 3;
export const OP_tanh: i32 = 4;
export const OP_sigmoid: i32 = 5;
export const OP_relu: i32 = 6;
export const OP_abs: i32 = 7;
export const OP_sign: i32 = 8;
export const OP_floor: i32 = 9;
export const OP_ceil: i32 = 10;
export const OP_round: i32 = 11;
export const OP_expm1: i32 = 12;
export const OP_log1p: i32 = 13;
export const OP_sin: i32 = 14;
export const OP_cos: i32 = 15;
export const OP_erf: i32 = 16;
export const OP_atan: i32 = 17;
export const OP_erfc: i32 = 18;

// One operand, to another dtype.
export const OP_cast_u8_f32: i32 = 64;
export const OP_cast_u8_i32: i32 = 65;
export const OP_cast_i32_f32: i32 = 66;
export const OP_cast_i32_u8: i32 = 67;
export const OP_cast_f32_i32: i32 = 68;
export const OP_cast_f32_u8: i32 = 69;

// Two operands.
export const ARITHMETIC: i32 = 128;
export const OP_add: i32 = 128;
export const OP_sub: i32 = 129;
export const OP_mul: i32 = 130;
export const OP_div: i32 = 131;
export const OP_pow: i32 = 132;
export const OP_reluGrad: i32 = 133;
export const OP_maximum: i32 = 134;
export const OP_minimum: i32 = 135;
export const OP_add_i32: i32 = 136;
export const OP_sub_i32: i32 = 137;
export const OP_mul_i32: i32 = 138;
export const OP_maximum_i32: i32 = 139;
export const OP_minimum_i32: i32 = 140;
export const OP_sigmoidSlope: i32 = 141;

// Two operands, to bytes: −1 in a lane is true.
export const COMPARISONS: i32 = 192;
export const OP_equal: i32 = 192;
export const OP_less: i32 = 193;
export const OP_lessEqual: i32 = 194;
export const OP_equal_i32: i32 = 195;
export const OP_less_i32: i32 = 196;
export const OP_lessEqual_i32: i32 = 197;

// The same of bytes.
export const LOGIC: i32 = 224;
export const OP_and: i32 = 224;
export const OP_or: i32 = 225;
export const OP_xor: i32 = 226;

// Bytes that choose between two operands.
export const SELECTION: i32 = 256;
export const OP_where: i32 = 256;
export const OP_where_u8: i32 = 257;
