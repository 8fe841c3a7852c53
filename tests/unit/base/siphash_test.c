#include "base/siphash.h"
#include "run.h"

/* The reference's key 00 01 … 0f and inputs 00 01 … of each length. */
static uint64_t hash_of_length(size_t len)
{
    static const char input[] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17";
    const struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    return siphash(&key, (struct bytes){.data = input, .len = len});
}

START_TEST(the_vectors_of_the_paper_and_the_reference_come_out)
{
    ck_assert_uint_eq(hash_of_length(0), UINT64_C(0x726fdb47dd0e0e31));
    ck_assert_uint_eq(hash_of_length(1), UINT64_C(0x74f839c593dc67fd));
    ck_assert_uint_eq(hash_of_length(8), UINT64_C(0x93f5f5799a932462));
    ck_assert_uint_eq(hash_of_length(15), UINT64_C(0xa129ca6149be45e5));
}
END_TEST

START_TEST(another_key_gives_another_hash)
{
    const struct siphash_key one = {1, 2}, other = {1, 3};
    ck_assert_uint_ne(siphash(&one, BYTES("abc")), siphash(&other, BYTES("abc")));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("siphash");
    tcase_add_test(tests, the_vectors_of_the_paper_and_the_reference_come_out);
    tcase_add_test(tests, another_key_gives_another_hash);
    return run_case(tests, "siphash");
}
