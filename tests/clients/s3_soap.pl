# S3 by SOAP::Lite: keeps an object, lists it, reads it, removes it. Arguments: URL BUCKET; AWS_ACCESS_KEY_ID
# and AWS_SECRET_ACCESS_KEY in the environment. Prints what it found, a line each.
use strict;
use warnings;
use Digest::SHA qw(hmac_sha1_base64);
use MIME::Base64 qw(encode_base64 decode_base64);
use POSIX qw(strftime);
use SOAP::Lite;

my ($url, $bucket) = @ARGV;
my $space = 'http://s3.amazonaws.com/doc/2006-03-01/';

sub text { my ($name, $value) = @_; return SOAP::Data->name($name)->type('')->value($value); }

sub call {
    my ($action, @fields) = @_;
    my $moment = strftime('%Y-%m-%dT%H:%M:%S.000Z', gmtime);
    my $signature = hmac_sha1_base64("AmazonS3$action$moment", $ENV{AWS_SECRET_ACCESS_KEY});
    $signature .= '=' while length($signature) % 4;
    my $soap = SOAP::Lite->proxy($url)->on_action(sub { '""' })->default_ns($space);
    my $answer = $soap->call($action, @fields, text(AWSAccessKeyId => $ENV{AWS_ACCESS_KEY_ID}),
        text(Timestamp => $moment), text(Signature => $signature));
    print 'fault ', $answer->faultcode, "\n" if $answer->fault;
    return $answer;
}

call('CreateBucket', text(Bucket => $bucket));
call('PutObjectInline', text(Bucket => $bucket), text(Key => 'a/b'),
    text(Data => encode_base64('from perl', '')), text(ContentLength => 9));
my $listed = call('ListBucket', text(Bucket => $bucket));
print 'key ', $listed->valueof('//Contents/Key'), "\n";
my $got = call('GetObject', text(Bucket => $bucket), text(Key => 'a/b'), text(GetMetadata => 'true'),
    text(GetData => 'true'), text(InlineData => 'true'));
print 'data ', decode_base64($got->valueof('//Data')), "\n";
call('DeleteObject', text(Bucket => $bucket), text(Key => 'a/b'));
call('GetObject', text(Bucket => $bucket), text(Key => 'a/b'), text(GetMetadata => 'true'),
    text(GetData => 'true'), text(InlineData => 'true'));
call('DeleteBucket', text(Bucket => $bucket));
