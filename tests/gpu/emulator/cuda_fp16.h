// Half precision as the compiler has it, for the emulator.
#pragma once
typedef _Float16 __half;
